"""Examples to token ids and labels: what the model sees, and which of it counts in the loss.

Answers only, by default. Templates with `{% generation %}` markers say themselves what an answer is; for all others it
is found by prefix difference: the turns before an answer, rendered with the generation prompt, against the turns up to
it. Refuses what would train something else than meant: prefixes that do not match, a missing end of turn, two BOS.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from images.train.rows import Chat, Example, Plain
from images.train.sources import BadRow, Refused

IGNORED = -100


@dataclass(frozen=True, slots=True)
class Encoded:
    """One row as the trainer takes it. `labels` equals `input_ids` where the loss counts, else -100.

    `prompt` is how many tokens stand before the last answer; 0 if there is nothing to ask.
    """

    input_ids: tuple[int, ...]
    labels: tuple[int, ...]
    prompt: int
    answer: str


def encode(
    examples: Iterable[Example], tokenizer: Any, stops: Sequence[int], *, answers_only: bool
) -> tuple[list[tuple[Example, Encoded]], list[BadRow]]:
    """Every example beside its tokens, and all refused rows. `stops` are the ids of the tokens that end a turn."""
    encoded: list[tuple[Example, Encoded]] = []
    bad: list[BadRow] = []
    marked = has_markers(tokenizer)
    for example in examples:
        try:
            if isinstance(example.body, Plain):
                row = _plain(example.body, tokenizer, answers_only)
            else:
                row = _chat(example.body, tokenizer, frozenset(stops), answers_only, marked)
            _refuse_two_bos(row.input_ids, tokenizer)
        except Refused as refused:
            bad.append(BadRow(example.file, example.line, str(refused)))
        else:
            encoded.append((example, row))
    return encoded, bad


def has_markers(tokenizer: Any) -> bool:
    """True when the tokenizer's chat template marks the answers itself."""
    import re

    template = tokenizer.chat_template
    return isinstance(template, str) and re.search(r"\{%-?\s*generation\b", template) is not None


def render(tokenizer: Any, turns: Sequence[dict[str, Any]], tools: Sequence[Any], *, ask: bool) -> str:
    """The chat template's text for `turns`; `ask` adds the generation prompt. Raises `Refused`."""
    import jinja2

    try:
        text: str = tokenizer.apply_chat_template(
            list(turns), tools=list(tools) or None, add_generation_prompt=ask, tokenize=False
        )
    except (jinja2.TemplateError, TypeError, KeyError) as error:
        raise Refused(f"the chat template refuses these turns: {error}") from error
    return text


def _chat(chat: Chat, tokenizer: Any, stops: frozenset[int], answers_only: bool, marked: bool) -> Encoded:
    ids = _ids(tokenizer, render(tokenizer, chat.turns, chat.tools, ask=False))
    last = max(index for index, turn in enumerate(chat.turns) if turn["role"] == "assistant")
    before = _ids(tokenizer, render(tokenizer, chat.turns[:last], chat.tools, ask=True)) if last else []
    # The prompt of the last answer is wanted for evaluation also where the loss does not need it.
    prompt = len(before) if ids[: len(before)] == before else 0
    if answers_only:
        answers = _marked(chat, tokenizer, ids) if marked else _by_prefix(chat, tokenizer, ids)
        labels = _learnt(ids, answers, stops)
    else:
        labels = list(ids)
    return Encoded(tuple(ids), tuple(labels), prompt, str(chat.turns[last]["content"]))


def _by_prefix(chat: Chat, tokenizer: Any, ids: list[int]) -> list[tuple[int, int]]:
    """The spans of the answers in `ids`, found by rendering the turns up to each of them."""
    spans = []
    for index, turn in enumerate(chat.turns):
        if turn["role"] != "assistant" or index < chat.learn_from:
            continue
        asked = _ids(tokenizer, render(tokenizer, chat.turns[:index], chat.tools, ask=True)) if index else []
        answered = _ids(tokenizer, render(tokenizer, chat.turns[: index + 1], chat.tools, ask=False))
        if answered[: len(asked)] != asked or ids[: len(answered)] != answered:
            raise Refused(
                f"the chat template renders the turns before messages[{index}] differently once it is answered, so "
                "the answer cannot be told from the prompt; give a template with generation markers, or one row per "
                "answer, or set assistant_only_loss: false"
            )
        spans.append((len(asked), len(answered)))
    return spans


def _marked(chat: Chat, tokenizer: Any, ids: list[int]) -> list[tuple[int, int]]:
    """The spans of the answers in `ids`, as the template's generation markers give them."""
    rendered = tokenizer.apply_chat_template(
        list(chat.turns), tools=list(chat.tools) or None, return_dict=True, return_assistant_tokens_mask=True
    )
    if list(rendered["input_ids"]) != ids:
        raise Refused("the chat template gives other tokens with its generation markers than without")
    mask = list(rendered["assistant_masks"])
    spans, start = [], None
    for position, bit in enumerate([*mask, 0]):
        if bit and start is None:
            start = position
        if not bit and start is not None:
            spans.append((start, position))
            start = None
    skipped = sum(turn["role"] == "assistant" for turn in chat.turns[: chat.learn_from])
    return spans[skipped:]


def _learnt(ids: list[int], answers: list[tuple[int, int]], stops: frozenset[int]) -> list[int]:
    """Labels for the answers, each up to and including its last end-of-turn token."""
    labels = [IGNORED] * len(ids)
    if not answers:
        raise Refused("no answer in it counts in the loss")
    for start, end in answers:
        stop = next((at for at in range(end - 1, start - 1, -1) if ids[at] in stops), None)
        if stop is None:
            raise Refused(
                "the end of turn is outside the loss mask, so the model would never learn to stop; the chat template "
                "must end an answer with the tokenizer's EOS or a stop token of generation_config.json"
            )
        labels[start : stop + 1] = ids[start : stop + 1]
    return labels


def _plain(text: Plain, tokenizer: Any, answers_only: bool) -> Encoded:
    """Prompt and completion, tokenised apart, so that the mask is exact; EOS ends the completion."""
    before = list(tokenizer(text.prompt)["input_ids"]) if text.prompt else []
    if before and before[-1] == tokenizer.eos_token_id:
        before.pop()  # Some tokenizers close every text; the prompt is not over yet.
    after = list(tokenizer(text.completion, add_special_tokens=not before)["input_ids"])
    if tokenizer.eos_token_id is not None and after[-1] != tokenizer.eos_token_id:
        after.append(tokenizer.eos_token_id)
    ignored = [IGNORED] * len(before) if answers_only else before
    return Encoded(tuple(before + after), tuple(ignored + after), len(before), text.completion)


def _ids(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _refuse_two_bos(ids: Sequence[int], tokenizer: Any) -> None:
    bos = tokenizer.bos_token_id
    if bos is not None and len(ids) > 1 and ids[0] == ids[1] == bos:
        raise Refused("BOS stands twice at its beginning: the template or the text adds what the tokenizer adds too")
