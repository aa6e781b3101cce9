"""The only importer of Google's aiplatform: performs calls, lists resources, follows operations, asks for predictions.

Long lists are read as JSON (`rest`), all else through Google's clients. Everything comes and goes as JSON-like mappings
with proto field names and enum names. Google's clients have neither timeouts nor retries of their own for these
methods: both are added here. Nothing is decided about what to call.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from reconciler.cloud.clock import Clock
from reconciler.cloud.errors import from_operation, translate
from reconciler.cloud.gapic import client_class, request_class
from reconciler.cloud.limits import UNLIMITED, Quotas
from reconciler.cloud.rest import PAGED, Rest, camel, snake, with_proto_names
from reconciler.cloud.retry import LOCAL, Patience, over_quota, with_patience
from reconciler.core.calls import Call
from reconciler.core.errors import CloudError, LoraformError
from reconciler.core.resources import Json
from reconciler.core.target import Target, region_of

if TYPE_CHECKING:
    from google.auth.transport.requests import AuthorizedSession

TIMEOUT = 60.0
"""Seconds for one request that manages resources."""
PREDICT_TIMEOUT = 600.0
PREDICTIONS = frozenset({"Predict", "RawPredict"})
"""Somebody is waiting for the answer: a quota that is used up is an answer, too."""


def connect(
    target: Target,
    clock: Clock | None = None,
    patience: Patience | None = None,
    quotas: Quotas | None = None,
    rest: Rest | None = None,
) -> Vertex:
    """A connection to the target's Vertex AI. Nothing is sent before the first call; credentials are looked up then."""
    clock = clock or Clock()
    return Vertex(
        target,
        clock,
        patience or (LOCAL if target.api_endpoint else Patience()),
        quotas or (Quotas(clock, UNLIMITED, UNLIMITED) if target.api_endpoint else Quotas(clock)),
        rest=rest,
    )


class Vertex:
    """Holds the connection to one project and region. May be used by several threads."""

    def __init__(
        self,
        target: Target,
        clock: Clock,
        patience: Patience,
        quotas: Quotas,
        make_client: Callable[[str, str], Any] | None = None,
        rest: Rest | None = None,
    ) -> None:
        """`make_client(service, address or "")` gives a client other than Google's own, for simulations."""
        self.target = target
        self.clock = clock
        self.patience = patience
        self._quotas = quotas
        self._make_client = make_client or self._google_client
        self._rest = None if make_client else rest or Rest(target)
        self._clients: dict[tuple[str, str], Any] = {}
        self._lock = threading.Lock()

    def perform(self, call: Call, may_go_on: Callable[[], None] | None = None) -> Mapping[str, Json]:
        """Send one call; the answer as JSON, for long-running methods the operation.

        `may_go_on` is asked last before each attempt, after all waiting, and raises when it must not be sent any more.

        A canonical status in `call.tolerate` answers {}. Raises `core.errors`, and `LostAnswer` where the effect of
        a call that must not be repeated is unknown. A request that the proto types refuse is a LoraformError.
        """
        message = self._request(call)
        send = getattr(self._client(call.service, self._home(call)), snake(call.method))
        try:
            answer = self._send(
                call.method,
                lambda: send(message, retry=None, timeout=TIMEOUT),
                _doing(call),
                region=self._region(call),
                may_go_on=may_go_on,
            )
            return _plain(answer)
        except CloudError as error:
            if error.status in call.tolerate:
                return {}
            raise

    def list(self, service: str, method: str, request: Mapping[str, Json], items: str) -> Iterator[Mapping[str, Json]]:
        """All resources of a paged list method; `items` names the repeated field of its answer (`custom_jobs`)."""
        call = Call(service, method, request)
        rest = self._rest
        if rest is None or method not in PAGED:
            yield from self._list_by_client(call, items)
            return
        token, field = "", camel(items)
        while True:
            fetch = partial(rest.vertex_page, method, request, token, TIMEOUT)
            page = self._send(method, fetch, _doing(call), region=self._region(call))
            for item in page.get(field, ()):
                yield with_proto_names(item)
            token = page.get("nextPageToken", "")
            if not token:
                return

    def _list_by_client(self, call: Call, items: str) -> Iterator[Mapping[str, Json]]:
        send = getattr(self._client(call.service, self._home(call)), snake(call.method))
        message = self._request(call)
        while True:
            page = self._send(
                call.method,
                lambda: next(iter(send(message, retry=None, timeout=TIMEOUT).pages)),
                _doing(call),
                region=self._region(call),
            )
            for item in getattr(page, items):
                yield _plain(item)
            if not page.next_page_token:
                return
            message.page_token = page.next_page_token

    def operation(self, name: str) -> Mapping[str, Json]:
        """The long-running operation as it stands: `name`, `done`, `error` {code, message}, `metadata`, `response`."""
        client = self._client("EndpointService")
        request = {"name": name}
        return _plain(
            self._send(
                "GetOperation",
                lambda: client.get_operation(request, retry=None, timeout=TIMEOUT),
                f"GetOperation {name}",
            )
        )

    def operations(self, parent: str) -> tuple[Mapping[str, Json], ...]:
        """The long-running operations of one resource, such as an endpoint, in the server's order."""
        client = self._client("EndpointService")
        found: list[Mapping[str, Json]] = []
        request = {"name": parent, "page_token": ""}
        while True:
            page = self._send(
                "ListOperations",
                lambda: client.list_operations(request, retry=None, timeout=TIMEOUT),
                f"ListOperations {parent}",
            )
            found.extend(_plain(item) for item in page.operations)
            if not page.next_page_token:
                return tuple(found)
            request["page_token"] = page.next_page_token

    def wait(
        self, operation: Mapping[str, Json], seconds: float, stop: Callable[[], bool] = lambda: False
    ) -> Mapping[str, Json] | None:
        """Follow a short operation; its `response`, or None when it is not done after `seconds` or `stop()` is true.

        Raises the operation's own error as a `CloudError`.
        """
        name = str(operation.get("name", ""))
        end = self.clock.monotonic() + seconds
        delay = 0.02 if self.target.api_endpoint else 1.0
        while not operation.get("done"):
            if stop() or self.clock.monotonic() + delay > end:
                return None
            self.clock.sleep(delay)
            delay = min(delay * 1.5, 5.0)
            operation = self.operation(name)
        error = operation.get("error")
        if isinstance(error, Mapping):
            raise from_operation(int(cast("int", error.get("code", 2))), str(error.get("message", "")), name)
        response = operation.get("response")
        return response if isinstance(response, Mapping) else {}

    def predict(
        self,
        endpoint: str,
        instances: Sequence[Json],
        parameters: Mapping[str, Json] | None = None,
        dedicated: str = "",
    ) -> Mapping[str, Json]:
        """Answers of an endpoint (resource name); `dedicated` is its `dedicated_endpoint_dns`, if it has one.

        Returns `predictions`, `deployed_model_id`, `model`, `model_version_id`. Numbers come back as floats.
        """
        request = request_class("Predict")(endpoint=endpoint)
        proto = type(request).pb(request)
        _parse({"instances": list(instances), "parameters": dict(parameters or {})}, proto, "Predict")
        client = self._client("PredictionService", dedicated)
        return _plain(
            self._send(
                "Predict",
                lambda: client.predict(request, retry=None, timeout=PREDICT_TIMEOUT),
                f"Predict {endpoint}",
                repeatable=False,
            )
        )

    def raw_predict(
        self, endpoint: str, body: bytes, content_type: str = "application/json", dedicated: str = ""
    ) -> tuple[bytes, str]:
        """The container's own answer to `body`: (bytes, content type)."""
        client = self._client("PredictionService", dedicated)
        request = {"endpoint": endpoint, "http_body": {"content_type": content_type, "data": body}}
        answer = self._send(
            "RawPredict",
            lambda: client.raw_predict(request, retry=None, timeout=PREDICT_TIMEOUT),
            f"RawPredict {endpoint}",
            repeatable=False,
        )
        return answer.data, answer.content_type

    def session(self) -> AuthorizedSession:
        """A requests session with the target's credentials, for Google APIs beside Vertex AI."""
        return (self._rest or Rest(self.target)).session()

    def _send(
        self,
        method: str,
        act: Callable[[], Any],
        doing: str,
        *,
        region: str = "",
        repeatable: bool | None = None,
        may_go_on: Callable[[], None] | None = None,
    ) -> Any:
        queues = method not in PREDICTIONS

        def attempt() -> Any:
            self._quotas.take(method, may_go_on, region)
            if may_go_on:
                may_go_on()
            try:
                return act()
            except Exception as error:
                problem = translate(error, doing)
                if queues and over_quota(problem):
                    self._quotas.exhausted(method, region)
                raise problem from error

        return with_patience(
            attempt,
            method,
            doing,
            self.clock,
            self.patience,
            repeatable=repeatable,
            queues=queues,
            may_go_on=may_go_on,
        )

    def _client(self, service: str, address: str = "") -> Any:
        with self._lock:
            client = self._clients.get((service, address))
            if client is None:
                client = self._clients[service, address] = self._make_client(service, address)
            return client

    def _home(self, call: Call) -> str:
        """The address that answers for the region of a call; "" for the target's own, and for the embedded service."""
        region = self._region(call)
        return "" if self.target.api_endpoint or not region else f"{region}-aiplatform.googleapis.com"

    def _region(self, call: Call) -> str:
        """The region of a call; "" for the target's own."""
        region = next((found for key in ("name", "parent") if (found := region_of(str(call.request.get(key, ""))))), "")
        return "" if region == self.target.region else region

    def _google_client(self, service: str, address: str) -> Any:
        from google.auth.credentials import AnonymousCredentials

        make = client_class(service)
        embedded = self.target.api_endpoint
        try:
            if embedded:
                options = {"api_endpoint": embedded}
                return make(credentials=AnonymousCredentials(), transport="rest", client_options=options)
            if address:
                return make(transport="rest", client_options={"api_endpoint": address})
            return make(client_options={"api_endpoint": f"{self.target.region}-aiplatform.googleapis.com"})
        except Exception as error:
            raise translate(error, f"connecting to {service}") from error

    def _request(self, call: Call) -> Any:
        make = request_class(call.method)
        if make is None:
            raise LoraformError(f"{call.service} has no method {call.method}")
        message = make()
        _parse(call.request, type(message).pb(message), call.method)
        return message


def _parse(body: Mapping[str, Json], proto: Any, method: str) -> None:
    from google.protobuf import json_format

    try:
        json_format.ParseDict(body, proto)
    except json_format.ParseError as error:
        raise LoraformError(f"{method}: the request does not fit Google's types: {error}") from error


def _plain(message: Any) -> Mapping[str, Json]:
    """Any answer of the clients as JSON: proto-plus, plain protobuf, or the future of a long-running operation."""
    from google.protobuf import json_format

    if message is None:
        return {}
    proto = getattr(message, "operation", None) or getattr(type(message), "pb", lambda same: same)(message)
    return cast("Mapping[str, Json]", json_format.MessageToDict(proto, preserving_proto_field_name=True))


def _doing(call: Call) -> str:
    fields = (call.request.get(key) for key in ("name", "endpoint", "parent"))
    return " ".join([call.method, *[field for field in fields if isinstance(field, str)][:1]])
