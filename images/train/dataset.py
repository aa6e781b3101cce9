"""All rows of a run, read, understood and tokenised, or refused together before any training step.

Every bad row of both files is counted; the first `SHOWN` are told with file, line and reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from images.train.failures import DataInvalid
from images.train.masks import IGNORED, Encoded, encode
from images.train.progress import Progress
from images.train.rows import read_examples
from images.train.settings import Reading
from images.train.sources import BadRow, Record, read_records
from images.train.storage import Storage
from schemas.run_record import DataRead
from schemas.training_spec import DataSource

SHOWN = 20


@dataclass(frozen=True, slots=True)
class Raw:
    """The records of both files, not yet understood, and everything that is wrong with them so far."""

    train: tuple[Record, ...]
    eval: tuple[Record, ...]
    bad: tuple[BadRow, ...]
    read: tuple[DataRead, ...]


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows as the trainer takes them."""

    train: tuple[Encoded, ...]
    eval: tuple[Encoded, ...]

    @property
    def tokens(self) -> int:
        """Tokens of all training rows."""
        return sum(len(row.input_ids) for row in self.train)

    @property
    def longest(self) -> int:
        """Tokens of the longest row of either file."""
        return max(len(row.input_ids) for row in (*self.train, *self.eval))


def read_files(storage: Storage, data: DataSource) -> Raw:
    """Read both files. Needs no tokenizer, so a missing file is told at once."""
    train, bad, read = read_records(storage, data.train)
    if data.eval is None:
        return Raw(tuple(train), (), tuple(bad), (read,))
    held, more, read_too = read_records(storage, data.eval)
    return Raw(tuple(train), tuple(held), (*bad, *more), (read, read_too))


def prepare(raw: Raw, form: str, tokenizer: Any, stops: Sequence[int], how: Reading, progress: Progress) -> Rows:
    """Tokenise the records of `raw`, or raise `DataInvalid` after telling every bad row."""
    train, bad_train = _encoded(raw.train, form, tokenizer, stops, how)
    held, bad_held = _encoded(raw.eval, form, tokenizer, stops, how)
    bad = sorted({*raw.bad, *bad_train, *bad_held})
    if bad:
        for row in bad[:SHOWN]:
            progress.say("bad_row", file=row.file, line=row.line, reason=row.reason)
        more = f", and {len(bad) - 1} more" if len(bad) > 1 else ""
        raise DataInvalid(f"{len(bad)} bad rows: {bad[0]}{more}", "Mend these rows; nothing was trained.")
    if how.cut and how.max_length is not None:
        cut = sum(len(row.input_ids) > how.max_length for row in (*train, *held))
        if cut:
            progress.note(f"{cut} rows are cut to {how.max_length} tokens, as training.truncation_mode asks")
        train, held = [_cut(row, how.max_length) for row in train], [_cut(row, how.max_length) for row in held]
    return Rows(tuple(train), tuple(held))


def sample(row: Encoded, tokenizer: Any) -> dict[str, str]:
    """One decoded row: all that the model sees, and what of it counts in the loss."""
    learnt = [token for token, label in zip(row.input_ids, row.labels, strict=True) if label != IGNORED]
    return {"text": tokenizer.decode(list(row.input_ids)), "learnt": tokenizer.decode(learnt)}


def _encoded(
    records: Sequence[Record], form: str, tokenizer: Any, stops: Sequence[int], how: Reading
) -> tuple[list[Encoded], list[BadRow]]:
    has_template = tokenizer.chat_template is not None
    examples, bad = read_examples(records, form, has_template=has_template, text_field=how.text_field)
    encoded, refused = encode(examples, tokenizer, stops, answers_only=how.answers_only)
    bad += refused
    if how.max_length is not None and not how.cut and not refused:
        for example, row in zip(examples, encoded, strict=True):
            if len(row.input_ids) > how.max_length:
                reason = f"{len(row.input_ids)} tokens are more than training.max_length ({how.max_length})"
                bad.append(BadRow(example.file, example.line, reason))
    return encoded, bad


def _cut(row: Encoded, length: int) -> Encoded:
    return Encoded(row.input_ids[:length], row.labels[:length], min(row.prompt, length), row.answer)
