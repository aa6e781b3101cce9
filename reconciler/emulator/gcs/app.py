"""Cloud Storage as an ASGI application: `storage_app(buckets)` answers every path that `claims` says is its own.

Decides which kind of request this is and how refusals travel; the calls themselves are in `routes.py`, `media.py`,
`upload_calls.py`, `batch.py` and `xml_calls.py`. Reads are answered in the event loop, writes in threads.

Clients find it by `STORAGE_EMULATOR_HOST`. Programs that use gcsfs want `GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT=false`
beside it: else gcsfs first asks for every bucket's layout over gRPC with TLS, and waits a minute before it goes on.
"""

from __future__ import annotations

import asyncio
from functools import partial

from reconciler.emulator.gcs.batch import answer_batch
from reconciler.emulator.gcs.buckets import Buckets
from reconciler.emulator.gcs.errors import Json, StorageError, not_implemented
from reconciler.emulator.gcs.fields import partial as selected
from reconciler.emulator.gcs.http import (
    App,
    Receive,
    Reply,
    Request,
    Scope,
    Send,
    json_reply,
    read_request,
    refuse_keys,
    send_reply,
)
from reconciler.emulator.gcs.media import download
from reconciler.emulator.gcs.parts import Parts
from reconciler.emulator.gcs.routes import call, unknown
from reconciler.emulator.gcs.sessions import Sessions
from reconciler.emulator.gcs.upload_calls import upload
from reconciler.emulator.gcs.xml_calls import answer_xml, xml_refusal

RESERVED = ("batch", "download", "resumable", "storage", "upload")
PREFIXES = ("/storage/v1/", "/upload/storage/v1/", "/resumable/upload/storage/v1/", "/download/storage/v1/", "/batch")


def claims(buckets: Buckets, path: str) -> bool:
    """Whether a request to this path is for Cloud Storage: the JSON API, a bucket that exists, or an object of it.

    A server with paths of its own looks at those first, since a bucket may have any name.
    """
    first = path.removeprefix("/").partition("/")[0]
    return path.startswith(PREFIXES) or bool(first and buckets.has(first))


def storage_app(buckets: Buckets) -> App:
    """Return the application that serves `buckets`."""
    sessions, parts = Sessions(buckets), Parts(buckets)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            request = read_request(scope, receive)
        except StorageError as error:
            await send_reply(_refusal(error), send, receive)
            return
        try:
            reply = await answer(buckets, sessions, parts, request)
            async for _ in request.body.pieces():
                pass  # a client that is still sending must be heard out before it listens
        except ConnectionResetError:
            return
        await send_reply(reply, send, receive, request.method == "HEAD")

    return app


async def answer(buckets: Buckets, sessions: Sessions, parts: Parts, request: Request) -> Reply:
    """Return the reply to one request."""
    try:
        match request.path:
            case ("download", "storage", "v1", "b", bucket, "o", name):
                return download(buckets, request, bucket, name)
            case ("storage", "v1", "b", bucket, "o", name) if request.query.get("alt") == "media":
                if request.method == "GET":
                    return download(buckets, request, bucket, name)
            case ("upload", "storage", "v1", "b", bucket, "o") | (
                "resumable", "upload", "storage", "v1", "b", bucket, "o",
            ):  # fmt: skip
                found = await upload(buckets, sessions, request, bucket)
                return found if isinstance(found, Reply) else _shown(found, request)
            case ("batch",) | ("batch", "storage", "v1"):
                return await answer_batch(request, partial(_answer_call, buckets))
            case (bucket, *name) if bucket not in RESERVED and buckets.has(bucket) and not any(name):
                return xml_refusal(not_implemented(f"{request.method} of the XML API on buckets"))
            case (bucket, *name) if name and bucket not in RESERVED:
                return await answer_xml(buckets, parts, request, bucket, "/".join(name))
        return await _answer_call(buckets, request)
    except StorageError as error:
        return _refusal(error)


async def _answer_call(buckets: Buckets, request: Request) -> Reply:
    """Answer a call on metadata, alone or out of a batch."""
    try:
        if request.path[:2] != ("storage", "v1"):
            raise unknown(request)
        refuse_keys(request)
        if request.method == "GET":
            found = call(buckets, request, {})
        else:
            found = await asyncio.to_thread(call, buckets, request, await request.json())
        return Reply(204) if found is None else _shown(found, request)
    except StorageError as error:
        return _refusal(error)


def _shown(found: Json, request: Request) -> Reply:
    fields = request.query.get("fields", "")
    return json_reply(selected(found, fields) if fields else found)


def _refusal(error: StorageError) -> Reply:
    return Reply(304) if error.status == 304 else json_reply(error.envelope(), error.status)
