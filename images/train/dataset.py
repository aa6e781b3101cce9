"""All rows of a run, read, understood, tokenised and chosen, or refused together before any training step.

Every bad row of both files is counted; the first `SHOWN` are told with file, line and reason. Rows that are left out
because the spec says so are told likewise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from images.common.row_template import BadTemplate, RowTemplate, read_template
from images.train.failures import DataInvalid, SpecInvalid
from images.train.hub import Hub
from images.train.masks import IGNORED, Encoded, encode
from images.train.progress import Progress
from images.train.rows import Example, extra_fields, read_examples, rows_digest
from images.train.selection import Pair, deduplicated, drawn, held_back, shared, weighted
from images.train.settings import Reading
from images.train.sources import BadRow, Record, read_sources
from images.train.storage import Storage
from schemas.run_record import DataRead
from schemas.training_spec import DataSource

SHOWN = 20
SAMPLE_SEED = 0
"""`evaluation.max_samples` draws the same rows for every run, so that runs can be compared."""


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
    eval_digest: str = ""
    """Of what the rows of `eval` say, before any tokenizer: two runs with the same one were measured on the same."""
    records: tuple[Mapping[str, Any], ...] = ()
    """Those of `eval`, as they stand in their file."""
    left_out: dict[str, int] = field(default_factory=dict)
    """Rows that are not used, by reason: bad, long, cut, duplicate, capped."""

    @property
    def tokens(self) -> int:
        """Tokens of all training rows."""
        return sum(len(row.input_ids) for row in self.train)

    @property
    def longest(self) -> int:
        """Tokens of the longest row of either file."""
        return max(len(row.input_ids) for row in (*self.train, *self.eval))


def read_files(storage: Storage, data: DataSource, hub: Hub | None = None) -> Raw:
    """Read all files. Needs no tokenizer, so a missing file is told at once."""
    train, bad, read = read_sources(storage, data.train, hub)
    for mixed in data.mix:
        records, more, read_too = read_sources(storage, mixed.rows, hub)
        train += [replace(record, weight=mixed.weight) for record in records]
        bad, read = [*bad, *more], [*read, *read_too]
    if data.eval is None:
        return Raw(tuple(train), (), tuple(bad), tuple(read))
    held, more, read_too = read_sources(storage, data.eval, hub)
    return Raw(tuple(train), tuple(held), (*bad, *more), (*read, *read_too))


def prepare(
    raw: Raw,
    data: DataSource,
    tokenizer: Any,
    stops: Sequence[int],
    how: Reading,
    progress: Progress,
    max_samples: int | None = None,
) -> Rows:
    """Tokenise the records of `raw` and choose among them, or raise `DataInvalid` after telling every bad row.

    Of the eval rows at most `max_samples` are used.
    """
    extra = extra_fields((*raw.train, *raw.eval), data.format, how.text_field)
    if extra and data.template is None:
        listed = ", ".join(f"{name} ({count} rows)" for name, count in sorted(extra.items()))
        progress.note(f"fields that rows of format {data.format} do not have are not learnt: {listed}")
    train, bad_train = _encoded(raw.train, data, tokenizer, stops, how)
    held, bad_held = _encoded(raw.eval, data, tokenizer, stops, how)
    left_out: Counter[str] = Counter()
    train, long_train = _of_length(train, how)
    held, long_held = _of_length(held, how)
    too_long = sorted([*long_train, *long_held])
    bad = sorted({*raw.bad, *bad_train, *bad_held, *(too_long if how.long == "fail" else ())})
    if bad:
        _refuse_or_skip(bad, data, progress)
        left_out["bad"] = len(bad)
    if too_long and how.long == "drop":
        _tell(too_long, progress)
        progress.note(f"{len(too_long)} rows are too long and left out, as data.on_long_row asks")
        left_out["long"] = len(too_long)
    if too_long and how.long == "truncate":
        said = "data.on_long_row" if data.on_long_row else "training.truncation_mode"
        progress.note(f"{len(too_long)} rows are cut to {how.max_length} tokens, as {said} asks")
    for file, rows in (("training", train), ("eval", held)):
        unlearnt = sum(not _learns(row) for _, row in rows)
        if unlearnt:
            progress.note(f"{unlearnt} {file} rows have no answer left after the cut and are left out")
            left_out["cut"] += unlearnt
    train, held = [pair for pair in train if _learns(pair[1])], [pair for pair in held if _learns(pair[1])]
    if data.deduplicate:
        train, twice = deduplicated(train)
        if twice:
            progress.note(f"{twice} training rows stand more than once and are learnt from once")
            left_out["duplicate"] = twice
    if data.eval_fraction is not None:
        train, held = _split(train, data.eval_fraction, data.eval_seed, progress)
    if data.mix:
        before, train = len(train), weighted(train, how.seed)
        progress.note(f"{before} training rows by the weights of data.mix are {len(train)} in an epoch")
    if data.max_rows is not None and len(train) > data.max_rows:
        progress.note(f"{data.max_rows} of {len(train)} training rows are drawn with seed {how.seed}")
        left_out["capped"] = len(train) - data.max_rows
        train = drawn(train, data.max_rows, how.seed)
    if not train:
        raise DataInvalid("No training row is left", "See the notes above; give rows that can be trained on.")
    both = shared(train, held)
    if both:
        (one, other), count = both[0], len(both)
        progress.note(
            f"{count} of {len(held)} eval rows stand in the training rows too (the first: {_place(other)} is "
            f"{_place(one)}): what is measured on them says little about new questions"
        )
    if max_samples is not None and len(held) > max_samples:
        progress.note(f"{max_samples} of {len(held)} eval rows are measured, as evaluation.max_samples asks")
        held = drawn(held, max_samples, SAMPLE_SEED)
    places = {(record.file, record.line): record.value for record in (*raw.eval, *raw.train)}
    learnt = tuple(sequence for _, row in train for sequence in _sequences(row))
    if len(learnt) > len(train):
        progress.note(
            f"the chat template writes earlier answers differently from the last one: {len(learnt) - len(train)} of "
            f"them are learnt in sequences of their own, {len(learnt)} of {len(train)} rows"
        )
    return Rows(
        learnt,
        tuple(row for _, row in held),
        rows_digest(example for example, _ in held),
        tuple(places[example.file, example.line] for example, _ in held),
        dict(left_out),
    )


def row_template(data: DataSource) -> RowTemplate | None:
    """The template of `data`, read; None where it has none. Raises SpecInvalid."""
    try:
        return read_template(data.template) if data.template is not None else None
    except BadTemplate as error:
        raise SpecInvalid(
            f"data.template cannot be read: {error}", "Mend the template; nothing was trained."
        ) from error


def sample(row: Encoded, tokenizer: Any) -> dict[str, str]:
    """One decoded row: all that the model sees, and what of it counts in the loss."""
    learnt = [token for token, label in zip(row.input_ids, row.labels, strict=True) if label != IGNORED]
    return {"text": tokenizer.decode(list(row.input_ids)), "learnt": tokenizer.decode(learnt)}


def _split(train: list[Pair], fraction: float, seed: int, progress: Progress) -> tuple[list[Pair], list[Pair]]:
    learnt, held = held_back(train, fraction, seed)
    if train and not held:
        raise DataInvalid(
            f"data.eval_fraction ({fraction:g}) holds none of the {len(train)} rows back",
            "Raise it, or name eval rows in data.eval.",
        )
    progress.note(f"{len(held)} of {len(train)} rows are held back to judge by, as data.eval_fraction asks")
    return learnt, held


def _refuse_or_skip(bad: Sequence[BadRow], data: DataSource, progress: Progress) -> None:
    _tell(bad, progress)
    more = f", and {len(bad) - 1} more" if len(bad) > 1 else ""
    said = f"{len(bad)} bad rows: {bad[0]}{more}"
    if data.on_bad_row == "fail":
        raise DataInvalid(said, "Mend these rows; nothing was trained.")
    if len(bad) > data.max_bad_rows:
        raise DataInvalid(
            f"{said}. At most {data.max_bad_rows} may be skipped", "Mend these rows, or raise data.max_bad_rows."
        )
    progress.note(f"{len(bad)} bad rows are skipped, as data.on_bad_row asks")


def _tell(rows: Sequence[BadRow], progress: Progress) -> None:
    for row in rows[:SHOWN]:
        progress.say("bad_row", file=row.file, line=row.line, reason=row.reason)


def _encoded(
    records: Sequence[Record], data: DataSource, tokenizer: Any, stops: Sequence[int], how: Reading
) -> tuple[list[Pair], list[BadRow]]:
    examples, bad = read_examples(
        records,
        data.format,
        has_template=tokenizer.chat_template is not None,
        text_field=how.text_field,
        default_context=data.default_context,
        template=row_template(data),
    )
    encoded, refused = encode(examples, tokenizer, stops, answers_only=how.answers_only)
    return encoded, [*bad, *refused]


def _of_length(pairs: list[Pair], how: Reading) -> tuple[list[Pair], list[BadRow]]:
    """The rows that fit, and the others, cut among the first if that is wanted, as bad rows."""
    limit = how.max_length
    if limit is None:
        return pairs, []
    kept, long = [], []
    for example, row in pairs:
        if row.longest <= limit:
            kept.append((example, row))
            continue
        reason = f"{row.longest} tokens are more than training.max_length ({limit})"
        long.append(BadRow(example.file, example.line, reason))
        if how.long == "truncate":
            kept.append((example, _cut(row, limit, how.keep_end)))
    return kept, long


def _cut(row: Encoded, length: int, keep_end: bool) -> Encoded:
    earlier = tuple(_cut(one, length, keep_end) for one in row.earlier)
    if keep_end:
        gone = max(0, len(row.input_ids) - length)
        return Encoded(row.input_ids[gone:], row.labels[gone:], max(0, row.prompt - gone), row.answer, earlier)
    return Encoded(row.input_ids[:length], row.labels[:length], min(row.prompt, length), row.answer, earlier)


def _sequences(row: Encoded) -> tuple[Encoded, ...]:
    """What is learnt of a row, each sequence by itself, in the order of the turns."""
    return (*(one for one in row.earlier if _learns(one)), replace(row, earlier=()))


def _learns(row: Encoded) -> bool:
    return any(label != IGNORED for label in row.labels)


def _place(example: Example) -> str:
    return f"{example.file}:{example.line}"
