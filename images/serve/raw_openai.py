"""A raw OpenAI body at the predict route: answered by vLLM's own handlers, streaming included.

Ours are the defaults: the model is the experiment unless the body names another, and the spec's `generation` fills
what the body leaves open.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from vllm.entrypoints.serve.engine.protocol import ErrorResponse
from vllm.entrypoints.serve.utils.sse_keep_alive import with_sse_keep_alive

from images.serve.answers import Engine, to_request
from images.serve.bodies import OpenAIBody
from images.serve.instances import ALIASES, CHAT_ONLY, pick_model, settle_stops
from images.serve.settings import Settings

LOGPROBS = frozenset({"logprobs"})


def complete_fields(body: OpenAIBody, settings: Settings) -> dict[str, Any]:
    """The body with its gaps filled. BadInstance 404 for a model that is not served here."""
    fields = dict(body.fields)
    fields["model"] = pick_model(fields.get("model"), settings)
    given = {ALIASES.get(key, key) for key, value in fields.items() if value is not None}
    # Asking for log-probabilities is spelt differently in the two bodies: not a thing for defaults.
    unfit = LOGPROBS if body.chat else LOGPROBS | CHAT_ONLY
    for key, value in settings.generation.items():
        name = ALIASES.get(key, key)
        if name not in given and name not in unfit:
            fields[name] = value
    settle_stops(fields, fields["model"], settings)
    return fields


async def answer_openai(
    engine: Engine,
    request: Request,
    fields: dict[str, Any],
    chat: bool,
    done: Callable[[int, Any], None],
) -> Response:
    """vLLM's answer as it is. `done(status, usage)` is called once, when the last byte was made."""
    parsed = to_request(chat, fields)
    if chat:
        response = await engine.chat.create_chat_completion(parsed, request)
    else:
        response = await engine.completion.create_completion(parsed, request)
    if isinstance(response, ErrorResponse):
        done(response.error.code, None)
        return JSONResponse(response.model_dump(), response.error.code)
    if hasattr(response, "__aiter__"):
        interval = float(getattr(request.app.state.args, "sse_keep_alive_interval", 0))
        return StreamingResponse(
            _until_done(with_sse_keep_alive(response, interval), done), media_type="text/event-stream"
        )
    done(200, response.usage)
    return JSONResponse(response.model_dump())


async def _until_done(chunks: AsyncIterator[str], done: Callable[[int, Any], None]) -> AsyncIterator[str]:
    try:
        async for chunk in chunks:
            yield chunk
    finally:
        done(200, None)
