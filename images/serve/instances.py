"""One instance of a prediction becomes one question to vLLM: which model, chat or completion, which settings.

Pure. Defaults come from the spec's `generation`, then the request's `parameters`, then the instance's own keys.
Values are judged by vLLM's request models later; here only names and shapes are.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from images.common.row_template import BadRecord, read_template
from images.serve.bodies import kind
from images.serve.settings import Settings

SAMPLING = frozenset(
    [
        "temperature",
        "top_p",
        "top_k",
        "min_p",
        "seed",
        "stop",
        "stop_token_ids",
        "bad_words",
        "max_tokens",
        "min_tokens",
        "ignore_eos",
        "frequency_penalty",
        "presence_penalty",
        "repetition_penalty",
        "repetition_detection",
        "thinking_token_budget",
        "logit_bias",
        "logprobs",
        "allowed_token_ids",
        "include_stop_str_in_output",
        "skip_special_tokens",
        "spaces_between_special_tokens",
        "truncate_prompt_tokens",
        "structured_outputs",
        "response_format",
        "n",
    ]
)
CHAT_ONLY = frozenset(
    [
        "tools",
        "tool_choice",
        "documents",
        "chat_template_kwargs",
        "add_generation_prompt",
        "continue_final_message",
        "reasoning_effort",
    ]
)
SHAPE = frozenset({"prompt", "messages", "record", "raw", "raw_response", "model", "user"})
ALIASES = {"max_new_tokens": "max_tokens", "max_completion_tokens": "max_tokens"}


class BadInstance(ValueError):
    """This instance cannot be answered, its neighbours can. `code` is the HTTP status it would have alone."""

    def __init__(self, message: str, *, code: int = 400, param: str | None = None) -> None:
        """`param` names the key at fault."""
        super().__init__(message)
        self.code = code
        self.param = param


@dataclass(frozen=True, slots=True)
class Question:
    """One request to vLLM: `fields` are those of its chat or completion request, `model` is among them."""

    chat: bool
    model: str
    fields: dict[str, Any]


def read_instance(instance: Any, parameters: Mapping[str, Any], settings: Settings) -> Question:
    """The question that an instance asks. BadInstance says what is wrong with it."""
    own: Mapping[str, Any] = {"prompt": instance} if isinstance(instance, str) else instance
    if not isinstance(own, dict):
        raise BadInstance(f"an instance is a prompt string or an object, not {kind(instance)}")
    asked = {**_checked(parameters, "parameters"), **_checked(own, "instance")}
    merged = {**_checked(settings.generation, "generation"), **asked}
    merged = {key: value for key, value in merged.items() if value is not None}
    model = pick_model(merged.pop("model", None), settings)
    # Written for Google's own vLLM container, which would else repeat the prompt, and knows no chat template.
    bare = merged.pop("raw_response", None)
    if bare is not None and not isinstance(bare, bool):
        raise BadInstance(f'"raw_response" must be true or false, not {kind(bare)}', param="raw_response")
    raw = merged.pop("raw", bare is not None and not settings.chat)
    if not isinstance(raw, bool):
        raise BadInstance(f'"raw" must be true or false, not {kind(raw)}', param="raw")
    if merged.pop("n", 1) != 1:
        raise BadInstance('"n" must be 1: an instance has one prediction; repeat the instance instead', param="n")
    prompt, messages, record = (merged.pop(key, None) for key in ("prompt", "messages", "record"))
    if (prompt, messages, record).count(None) != 2:
        raise BadInstance('an instance has one of "prompt", "messages" and "record"', param="prompt")
    settle_stops(merged, model, settings)
    if record is not None or (isinstance(prompt, str) and settings.row_template is not None and not raw):
        if raw:
            raise BadInstance('"raw" sends a prompt as it is and does not go with "record"', param="raw")
        rendered = question_of(record, prompt, settings)
        prompt, messages, raw = (None, rendered, False) if isinstance(rendered, list) else (rendered, None, True)
    if messages is not None:
        if not isinstance(messages, list) or not messages:
            raise BadInstance('"messages" must be a list of turns with "role" and "content"', param="messages")
        if raw:
            raise BadInstance('"raw" sends a prompt as it is and does not go with "messages"', param="raw")
        return _chat(messages, model, merged, settings)
    if not isinstance(prompt, str):
        raise BadInstance(f'"prompt" must be a string, not {kind(prompt)}', param="prompt")
    if not raw:
        return _chat([{"role": "user", "content": prompt}], model, merged, settings)
    if unfit := sorted(CHAT_ONLY & merged.keys()):
        raise BadInstance(f'"{unfit[0]}" does not go with "raw": true', param=unfit[0])
    # A completion would stop after 16 tokens by OpenAI's default, a chat at the model's length.
    return Question(False, model, {"max_tokens": None, **merged, "model": model, "prompt": prompt})


def question_of(record: Any, prompt: Any, settings: Settings) -> str | list[dict[str, Any]]:
    """What the experiment's row template makes of a record; a prompt is the record's one field, where it has one."""
    if settings.row_template is None:
        raise BadInstance('this experiment was trained without data.template: send a "prompt"', param="record")
    template = read_template(settings.row_template)
    if record is None:
        if len(template.asked) != 1:
            wanted = ", ".join(template.asked)
            raise BadInstance(f'send {{"record": ...}} with the fields {wanted}, or "raw": true', param="prompt")
        record = {template.asked[0]: prompt}
    if not isinstance(record, dict):
        raise BadInstance(f'"record" must be an object, not {kind(record)}', param="record")
    try:
        return template.question(record)
    except BadRecord as error:
        raise BadInstance(str(error), param="record") from error


def pick_model(name: Any, settings: Settings) -> str:
    """The served name that answers to `name` (None: the experiment). BadInstance 404 for a name not served here."""
    if name is None:
        return settings.tuned
    if not isinstance(name, str):
        raise BadInstance(f'"model" must be a string, not {kind(name)}', param="model")
    if name not in settings.served():
        names = ", ".join(settings.served())
        raise BadInstance(f"no model {name[:80]!r} is served here; there is: {names}", code=404, param="model")
    return name


def settle_stops(fields: dict[str, Any], model: str, settings: Settings) -> None:
    """Add the artifact's end tokens to a request for the tuned model, in place; vLLM knows the base's own."""
    if model == settings.tuned and settings.stop_token_ids and not fields.get("ignore_eos"):
        given = fields.get("stop_token_ids") or []
        if isinstance(given, list):
            fields["stop_token_ids"] = list(dict.fromkeys([*given, *settings.stop_token_ids]))


def check_generation(generation: Mapping[str, Any]) -> None:
    """Whether the spec's defaults are keys of a request. ValueError with the nearest valid key."""
    _checked(generation, "generation", SAMPLING | CHAT_ONLY)


def _checked(
    fields: Mapping[str, Any], where: str, known: frozenset[str] = SAMPLING | CHAT_ONLY | SHAPE
) -> dict[str, Any]:
    result = {}
    for key, value in fields.items():
        name = ALIASES.get(key, key)
        if name not in known:
            near = difflib.get_close_matches(key, sorted(known | ALIASES.keys()), 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise BadInstance(f"unknown key {key[:80]!r} in {where}{hint}", param=key[:80])
        result[name] = value
    return result


def _chat(messages: list[Any], model: str, fields: dict[str, Any], settings: Settings) -> Question:
    if not settings.chat:
        raise BadInstance('this model has no chat template: send {"prompt": ..., "raw": true}', param="messages")
    count = fields.pop("logprobs", None)
    # SamplingParams and completions count them, chat asks for them and counts elsewhere.
    wanted = {} if count in (None, False) else {"logprobs": True, "top_logprobs": 0 if count is True else count}
    return Question(True, model, {**fields, **wanted, "model": model, "messages": messages})
