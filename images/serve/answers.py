"""Questions go to vLLM's own OpenAI serving objects, side by side; their answers come back in order.

No sampling logic is here. An exception of one question becomes that question's error and nothing more.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
from vllm.entrypoints.openai.completion.protocol import CompletionRequest
from vllm.entrypoints.serve.engine.protocol import ErrorResponse
from vllm.entrypoints.serve.exception_handling.error_response import create_error_response
from vllm.v1.engine.exceptions import EngineDeadError

from images.serve.bodies import Batch
from images.serve.instances import BadInstance, Question, read_instance
from images.serve.settings import Settings

MOST_REASONS = 3


@dataclass(frozen=True, slots=True)
class Engine:
    """vLLM's serving objects of one app: `chat` and `completion` take its request models."""

    chat: Any
    completion: Any


async def predict(batch: Batch, settings: Settings, engine: Engine) -> list[dict[str, Any]]:
    """One prediction per instance, in order: `{generated_text, finish_reason, usage}` or `{error}`.

    EngineDeadError when there is no engine any more.
    """
    return list(await asyncio.gather(*(_one(item, batch.parameters, settings, engine) for item in batch.instances)))


async def ask(question: Question, engine: Engine) -> Any:
    """vLLM's own response object for one question. BadInstance if vLLM refuses it."""
    request = to_request(question.chat, question.fields)
    if question.chat:
        response = await engine.chat.create_chat_completion(request)
    else:
        response = await engine.completion.create_completion(request)
    if isinstance(response, ErrorResponse):
        raise BadInstance(response.error.message, code=response.error.code, param=response.error.param)
    return response


def to_request(chat: bool, fields: dict[str, Any]) -> Any:
    """vLLM's request model of these fields. BadInstance with pydantic's reasons, shortened."""
    try:
        return (ChatCompletionRequest if chat else CompletionRequest).model_validate(fields)
    except ValidationError as error:
        at = error.errors(include_url=False, include_input=False, include_context=False)[0]["loc"]
        raise BadInstance(reasons(error), param=str(at[0]) if at else None) from error


def reasons(error: ValidationError) -> str:
    """The first few complaints of pydantic in one line, without the value that caused them."""
    seen: dict[str, str] = {}
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        # A union names its every branch; the reader knows only keys and positions.
        path = [str(part) for part in problem["loc"][:1]]
        seen.setdefault(".".join(path), problem["msg"])
    return "; ".join(f"{path}: {message}" if path else message for path, message in list(seen.items())[:MOST_REASONS])


def error_body(message: str, code: int, param: str | None = None) -> dict[str, Any]:
    """An error as OpenAI and vLLM write it."""
    kinds = {400: "BadRequestError", 404: "NotFoundError", 503: "ServiceUnavailableError"}
    return {"error": {"message": message, "type": kinds.get(code, "Error"), "param": param, "code": code}}


async def _one(item: Any, parameters: dict[str, Any], settings: Settings, engine: Engine) -> dict[str, Any]:
    try:
        question = read_instance(item, parameters, settings)
        return _prediction(await ask(question, engine), question)
    except BadInstance as error:
        return error_body(str(error), error.code, error.param)
    except EngineDeadError:
        raise
    except Exception as error:
        # vLLM maps its own exceptions to codes; what it does not know is a 500 in place.
        return error_body(*refusal(error))


def refusal(error: Exception) -> tuple[str, int, str | None]:
    """Message, HTTP status and parameter that vLLM itself would answer with."""
    response = create_error_response(error).error
    return response.message, response.code, response.param


def _prediction(response: Any, question: Question) -> dict[str, Any]:
    choice = response.choices[0]
    prediction: dict[str, Any] = {
        "generated_text": (choice.message.content or "") if question.chat else choice.text,
        "finish_reason": choice.finish_reason,
        "usage": {
            "prompt_tokens": response.usage.prompt_tokens,
            "completion_tokens": response.usage.completion_tokens,
            "total_tokens": response.usage.total_tokens,
        },
    }
    if question.chat and choice.message.tool_calls:
        prediction["tool_calls"] = [call.model_dump() for call in choice.message.tool_calls]
    if choice.logprobs is not None:
        prediction["logprobs"] = choice.logprobs.model_dump()
    return prediction
