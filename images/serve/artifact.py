"""What a trained artifact says about itself: form, rank, chat template and the tokens at which an answer ends.

The artifact is the truth about itself; the spec is only what was declared.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from images.common.row_template import FILE as ROW_TEMPLATE


@dataclass(frozen=True, slots=True)
class Artifact:
    """A fetched artifact. `rank` is the largest in the adapter (0 for a full model); paths are None if absent."""

    folder: Path
    form: Literal["adapter", "full"]
    rank: int
    chat_template: Path | None
    tokenizer: Path | None
    stop_token_ids: tuple[int, ...]
    row_template: str | None = None
    """The text of the template that made its training rows of records, if one did."""


def read_artifact(folder: Path, form: Literal["adapter", "full"]) -> Artifact:
    """Look into `folder`. FileNotFoundError when it does not hold what `form` announces."""
    needed = "adapter_config.json" if form == "adapter" else "config.json"
    if not (folder / needed).is_file():
        found = ", ".join(sorted(p.name for p in folder.iterdir())[:12]) or "nothing"
        raise FileNotFoundError(f"form {form!r} needs {needed} in the artifact, which holds: {found}")
    template, rows = folder / "chat_template.jinja", folder / ROW_TEMPLATE
    return Artifact(
        folder=folder,
        form=form,
        rank=largest_rank(_json(folder / "adapter_config.json")) if form == "adapter" else 0,
        chat_template=template if template.is_file() else None,
        tokenizer=folder if (folder / "tokenizer.json").is_file() else None,
        stop_token_ids=stop_token_ids(folder),
        row_template=rows.read_text(encoding="utf-8") if rows.is_file() else None,
    )


def largest_rank(adapter_config: dict[str, Any]) -> int:
    """The largest rank that any layer of a peft adapter has."""
    return max([int(adapter_config.get("r", 0)), *map(int, (adapter_config.get("rank_pattern") or {}).values())])


def has_chat_template(*folders: Path | None) -> bool:
    """Whether one of the folders brings a chat template, as a file of its own or in the tokenizer's config."""
    return any(
        (folder / "chat_template.jinja").is_file() or bool(_json(folder / "tokenizer_config.json").get("chat_template"))
        for folder in folders
        if folder is not None
    )


def stop_token_ids(folder: Path) -> tuple[int, ...]:
    """The ids that end an answer by the artifact's own files: the tokenizer's end token and the generation config's.

    A base model knows its own end token only; an adapter trained with another chat template ends with that one's.
    """
    ids: set[int] = set()
    eos = _json(folder / "generation_config.json").get("eos_token_id")
    ids.update(eos if isinstance(eos, list) else [eos] if isinstance(eos, int) else [])
    token = _json(folder / "tokenizer_config.json").get("eos_token")
    text = token.get("content") if isinstance(token, dict) else token
    tokenizer = _json(folder / "tokenizer.json")
    for added in tokenizer.get("added_tokens", []):
        if added.get("content") == text:
            ids.add(int(added["id"]))
    return tuple(sorted(ids))


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    content = json.loads(path.read_text(encoding="utf-8"))
    return content if isinstance(content, dict) else {}
