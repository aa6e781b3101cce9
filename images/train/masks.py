"""Examples to token ids and labels: what the model sees, and which of it counts in the loss.

Answers only, by default. Templates with `{% generation %}` markers say themselves what an answer is; for all others it
is found by difference: the turns before an answer, rendered with the generation prompt, against the turns up to it.
What stands before an answer is tokenised as a server does it. An answer that a template writes differently once more
turns follow (Qwen 3 drops the thinking of the past) is learnt in a sequence of its own, where it is the last one.
Refuses what would train something else than meant: an answer that cannot be told, a missing end of turn, two BOS.
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

    `prompt` is how many tokens stand before the last answer; 0 if there is nothing to ask. `earlier` are the answers
    before it that need a sequence of their own.
    """

    input_ids: tuple[int, ...]
    labels: tuple[int, ...]
    prompt: int
    answer: str
    earlier: tuple[Encoded, ...] = ()

    @property
    def longest(self) -> int:
        """Tokens of the longest of its sequences."""
        return max(len(self.input_ids), *(len(row.input_ids) for row in self.earlier), 0)


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
    if answers_only and not marked:
        return _by_difference(chat, tokenizer, stops)
    ids = _ids(tokenizer, render(tokenizer, chat.turns, chat.tools, ask=False))
    last = max(index for index, turn in enumerate(chat.turns) if turn["role"] == "assistant")
    before = _ids(tokenizer, render(tokenizer, chat.turns[:last], chat.tools, ask=True)) if last else []
    # The prompt of the last answer is wanted for evaluation also where the loss does not need it.
    prompt = len(before) if ids[: len(before)] == before else 0
    labels = _learnt(ids, _marked(chat, tokenizer, ids), stops) if answers_only else list(ids)
    return Encoded(tuple(ids), tuple(labels), prompt, _content(chat, last))


def _by_difference(chat: Chat, tokenizer: Any, stops: frozenset[int]) -> Encoded:
    """The row up to its last answer; earlier answers are learnt in it where they stand in it as they are served."""
    answers = [index for index, turn in enumerate(chat.turns) if turn["role"] == "assistant"]
    learnt = [index for index in answers if index >= chat.learn_from]
    if not learnt:
        raise Refused("no answer in it counts in the loss")
    last = learnt[-1]
    asked, ids = _answered(chat, last, tokenizer)
    spans, apart = [(asked, len(ids))], []
    for index in learnt[:-1]:
        before, own = _answered(chat, index, tokenizer)
        if ids[: len(own)] == own:
            spans.append((before, len(own)))
        else:
            labels = _learnt(own, [(before, len(own))], stops)
            apart.append(Encoded(tuple(own), tuple(labels), before, _content(chat, index)))
    labels = _learnt(ids, sorted(spans), stops)
    return Encoded(tuple(ids), tuple(labels), asked, _content(chat, last), tuple(apart))


def _answered(chat: Chat, index: int, tokenizer: Any) -> tuple[int, list[int]]:
    """(tokens before it, all tokens) of the turns up to the answer `index`, as if it had just been given.

    A server tokenises the prompt alone: where a token would reach over the end of the prompt, it is cut here too.
    """
    prompt = render(tokenizer, chat.turns[:index], chat.tools, ask=True) if index else ""
    answer = _after(prompt, render(tokenizer, chat.turns[: index + 1], chat.tools, ask=False), chat.turns[:index])
    if answer is None:
        raise Refused(
            f"the chat template renders the turns before messages[{index}] differently once it is answered, so "
            "the answer cannot be told from the prompt; give a template with generation markers in "
            "model.chat_template, or set assistant_only_loss: false"
        )
    asked = _ids(tokenizer, prompt) if prompt else []
    return len(asked), asked + _ids(tokenizer, answer)


def _after(prompt: str, text: str, before: Sequence[dict[str, Any]]) -> str | None:
    """What of `text` answers `prompt`; None where that cannot be told.

    Mistral's templates leave the system turn out once there is an answer: then it is what follows the last question.
    """
    if text.startswith(prompt):
        return text[len(prompt) :]
    question = str(before[-1].get("content") or "").strip() if before else ""
    asked = prompt[prompt.rfind(question) :] if question and question in prompt else ""
    return text[text.rfind(asked) + len(asked) :] if asked and asked in text else None


def _content(chat: Chat, index: int) -> str:
    return str(chat.turns[index]["content"])


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
