"""What the rows were rendered with is what the server will render with: tried before anything is learnt.

A server reads the tokenizer and the chat template from files. A tokenizer that is another one after it was written and
read again would be asked other questions than it was taught.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from images.train.failures import ModelNotFound
from images.train.masks import render
from images.train.sources import Refused

_ASK = {"role": "user", "content": "Where is  the book?\n\nSay it - 1,024 ways."}
PROBES = (
    (_ASK,),
    ({"role": "system", "content": "Be brief."}, _ASK),
    (_ASK, {"role": "assistant", "content": "Here."}, _ASK),
)


def refuse_another_rendering(tokenizer: Any, folder: Path, *, trust_remote_code: bool = False) -> None:
    """Write the tokenizer to `folder`, read it again, and raise `ModelNotFound` if the two give other tokens."""
    from transformers import AutoTokenizer

    tokenizer.save_pretrained(folder)
    again = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)
    for turns in PROBES if tokenizer.chat_template is not None else ():
        try:
            text = render(tokenizer, turns, (), ask=True)
        except Refused:
            continue  # A template that takes no system turn: the rows have none either, or they are refused.
        if _ids(again, render(again, turns, (), ask=True)) != _ids(tokenizer, text):
            raise _another("the chat template renders")
    plain = str(_ASK["content"])
    if list(again(plain)["input_ids"]) != list(tokenizer(plain)["input_ids"]):
        raise _another("the tokenizer cuts")


def _another(what: str) -> ModelNotFound:
    return ModelNotFound(
        f"Written and read again, as a server does it, {what} the same text differently",
        "Name a tokenizer that transformers saves whole in model.tokenizer, or a template in model.chat_template.",
    )


def _ids(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])
