"""vLLM's endpoint plugin that speaks Vertex AI's prediction contract on vLLM's own API server.

It adds the health and the predict route and nothing else. Routing public names to adapters has its place in
`instances.pick_model`, loading them in a resolver beside this module. Loaded only if `VLLM_PLUGINS` names it.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from argparse import Namespace
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from vllm.entrypoints.serve.utils.api_utils import with_cancellation
from vllm.v1.engine.exceptions import EngineDeadError

from images.serve.answers import Engine, error_body, predict, refusal
from images.serve.bodies import BadBody, Batch, OpenAIBody, read_body
from images.serve.instances import BadInstance
from images.serve.raw_openai import answer_openai, complete_fields
from images.serve.request_log import log_line
from images.serve.self_test import Health, self_test
from images.serve.settings import Settings, read_settings

LAST_WORDS_SECONDS = 10.0
CLIENT_GONE = 499


def plugin() -> LoraformPlugin:
    """The entry point. RuntimeError, which vLLM logs and survives, outside of `python -m images.serve`."""
    return LoraformPlugin(read_settings(os.environ))


class LoraformPlugin:
    """Holds the settings and the health of one server; satisfies vLLM's `EndpointPlugin` protocol."""

    name = "loraform"
    required_tasks = ("generate",)

    def __init__(self, settings: Settings) -> None:
        """`settings` as `python -m images.serve` left them in the environment."""
        self.settings = settings
        self.health = Health()
        self._testing: asyncio.Task[None] | None = None

    def attach_router(self, app: FastAPI) -> None:
        """Add the two routes; one of vLLM's own with the same path and method gives way."""
        app.add_api_route(self.settings.health_route, self.answer_health, methods=["GET"], response_model=None)
        app.add_api_route(self.settings.predict_route, self.answer_predict, methods=["POST"], response_model=None)

    async def init_state(self, engine_client: Any, state: Any, args: Namespace) -> None:
        """Begin the self-test; the server listens meanwhile and says 503."""
        self._testing = asyncio.create_task(self._test(_engine(state), engine_client))

    async def answer_health(self, request: Request) -> Response:
        """200 after the self-test while the engine lives, else 503 with the reason."""
        if not self.health.passed:
            status = "failed" if self.health.failed else "starting"
            return JSONResponse({"status": status, "reason": self.health.reason}, 503)
        try:
            await request.app.state.engine_client.check_health()
        except EngineDeadError as error:
            return JSONResponse({"status": "failed", "reason": f"the engine is dead: {error}"}, 503)
        return JSONResponse({"status": "ready", "models": self.settings.served()})

    async def answer_predict(self, request: Request) -> Response:
        """Instances or a raw OpenAI body; 4xx with a reason for everything else."""
        entry = _Entry(self.settings.tuned)
        try:
            body = read_body(await request.body())
            # vLLM's own: it expects the request second, cancels the work when the client hangs up and answers None.
            response: Response | None = await with_cancellation(self._respond)(body, request, entry)
        except BadBody as error:
            return entry.refuse(str(error), 400)
        except BadInstance as error:
            return entry.refuse(str(error), error.code, error.param)
        except EngineDeadError as error:
            return entry.refuse(f"the engine is dead: {error}", 503)
        except Exception as error:
            return entry.refuse(*refusal(error))
        if response is None:
            entry.write(CLIENT_GONE)
            return Response(status_code=CLIENT_GONE)
        return response

    async def _respond(self, body: Batch | OpenAIBody, request: Request, entry: _Entry) -> Response:
        engine = _engine(request.app.state)
        if isinstance(body, OpenAIBody):
            fields = complete_fields(body, self.settings)
            entry.model = fields["model"]
            return await answer_openai(engine, request, fields, body.chat, entry.write_openai)
        predictions = await predict(body, self.settings, engine)
        entry.write_batch(predictions)
        return JSONResponse({"predictions": predictions})

    async def _test(self, engine: Engine, engine_client: Any) -> None:
        await self_test(self.settings, engine, self.health)
        severity = "INFO" if self.health.passed else "ERROR"
        log_line(sys.stdout, self.health.reason, severity=severity, event="self-test")
        if self.health.failed:
            # Time for a probe to read the reason. A container that ends is noticed sooner than one that says 503.
            await asyncio.sleep(LAST_WORDS_SECONDS)
            engine_client.shutdown(timeout=0)
            os._exit(1)


class _Entry:
    """The log line of one request, written once."""

    def __init__(self, model: str) -> None:
        self.model = model
        self._started = time.monotonic()

    def write(self, status: int, **fields: Any) -> None:
        milliseconds = round(1000 * (time.monotonic() - self._started), 1)
        severity = "INFO" if status < 400 else "WARNING" if status < 500 else "ERROR"
        log_line(sys.stdout, "predict", severity=severity, status=status, ms=milliseconds, model=self.model, **fields)

    def write_openai(self, status: int, usage: Any) -> None:
        tokens = {} if usage is None else {"prompt_tokens": usage.prompt_tokens, "tokens": usage.completion_tokens}
        self.write(status, contract="openai", **tokens)

    def write_batch(self, predictions: list[dict[str, Any]]) -> None:
        good = [item["usage"] for item in predictions if "usage" in item]
        self.write(
            200,
            contract="instances",
            instances=len(predictions),
            errors=len(predictions) - len(good),
            prompt_tokens=sum(usage["prompt_tokens"] for usage in good),
            tokens=sum(usage["completion_tokens"] for usage in good),
        )

    def refuse(self, message: str, code: int, param: str | None = None) -> Response:
        self.write(code, reason=message[:200])
        return JSONResponse(error_body(message, code, param), code)


def _engine(state: Any) -> Engine:
    return Engine(state.openai_serving_chat, state.openai_serving_completion)
