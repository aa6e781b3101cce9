"""Execution match: do two queries read the same from a database? Each runs in sqlite, in memory, reading only.

A database is made by a script: one for all rows, or one in a field of each row. A table that the script leaves empty
gets rows made from the expected query's own words and numbers, since on no rows every query is right. A query ends
after a number of sqlite's own steps, which is the same on every machine, and never returns more than `ROWS`.
"""

from __future__ import annotations

import itertools
import random
import re
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, TypeAlias

from images.train.answers import Prediction
from images.train.failures import DataInvalid

STEPS = 20_000_000
"""Instructions of sqlite's machine that a script or query may take: some tenths of a second."""
ROWS = 10_000
FILLED = 24
"""Rows that an empty table gets."""
_EACH = 100_000
_TEXTS = ("amber", "birch", "coral", "delta", "ember", "fjord", "grove")
_READS = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE)
_OUTSIDE = (sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH, sqlite3.SQLITE_CREATE_VTABLE)
_LITERAL = re.compile(r"'((?:[^']|'')*)'|(?<![\w.])(\d+(?:\.\d+)?)(?![\w.])")
_ORDERED = re.compile(r"\border\s+by\b", re.IGNORECASE)

Found: TypeAlias = "list[tuple[Any, ...]]"


@dataclass(frozen=True, slots=True)
class Databases:
    """The script that makes the database of each evaluation row: the `field` of its record, or `script` for all."""

    records: Sequence[Mapping[str, Any]]
    field: str | None = None
    script: str = ""

    def score(self, prediction: Prediction) -> float:
        """1 when the answer reads what the expected query reads. Raises `DataInvalid` where that one fails."""
        return float(self._same(prediction.row, prediction.expected, prediction.answer))

    def check(self, row: int, expected: str) -> None:
        """Raise `DataInvalid` when the expected query of a row does not run in its database."""
        self._same(row, expected, expected)

    def _same(self, row: int, expected: str, answer: str) -> bool:
        script = self.script
        if self.field is not None:
            found = self.records[row].get(self.field)
            if not isinstance(found, str):
                raise DataInvalid(
                    f"eval row {row} has no text in {self.field!r}", "Mend the row, or evaluation.sql.field."
                )
            script = found
        try:
            return same_result(script, expected, answer)
        except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
            raise DataInvalid(
                f"eval row {row}: sqlite refuses the database or the expected query: {error}",
                "Mend the row: sql_match compares what both queries read.",
            ) from error


def same_result(script: str, expected: str, answer: str) -> bool:
    """Whether both queries read the same rows from what `script` makes; in the same order if `expected` orders.

    sqlite3.Error where the script or `expected` fails. A statement that changes something is not run: it is the same
    when it reads the same, blanks and case aside.
    """
    if not re.match(r"\s*(select|with|values)\b", expected, re.IGNORECASE):
        return _plain(expected) == _plain(answer)
    with closing(_database(script, expected)) as connection:
        wanted = _read(connection, expected)
        try:
            got = _read(connection, answer)
        except (sqlite3.Error, sqlite3.Warning, ValueError):
            return False
    return got == wanted if _ORDERED.search(expected) else Counter(got) == Counter(wanted)


def _plain(query: str) -> str:
    return " ".join(query.strip().rstrip(";").split()).lower()


def _database(script: str, expected: str) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 1_000_000)
        connection.set_authorizer(lambda action, *_: sqlite3.SQLITE_DENY if action in _OUTSIDE else sqlite3.SQLITE_OK)
        _limit(connection)
        connection.executescript(script)
        _fill(connection, expected)
        connection.set_authorizer(lambda action, *_: sqlite3.SQLITE_OK if action in _READS else sqlite3.SQLITE_DENY)
    except BaseException:
        connection.close()
        raise
    return connection


def _read(connection: sqlite3.Connection, query: str) -> Found:
    _limit(connection)
    with closing(connection.cursor()) as cursor:
        found = cursor.execute(query).fetchmany(ROWS)
    # 1 and 1.0 are one number, and so are two sums of the same numbers in another order.
    return [tuple(round(cell, 6) if isinstance(cell, float) else cell for cell in row) for row in found]


def _limit(connection: sqlite3.Connection) -> None:
    taken = itertools.count(1)
    connection.set_progress_handler(lambda: next(taken) * _EACH > STEPS, _EACH)


def _fill(connection: sqlite3.Connection, expected: str) -> None:
    texts, numbers = list(_TEXTS), [1.0, 2.0, 3.0, 5.0, 8.0]
    for text, number in _LITERAL.findall(expected):
        if number:
            numbers += [float(number), float(number) + 1, float(number) - 1]
        else:
            texts.append(text.replace("''", "'").strip("%"))
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    for (table,) in sorted(tables.fetchall()):
        name = '"' + table.replace('"', '""') + '"'
        if connection.execute(f"SELECT 1 FROM {name} LIMIT 1").fetchone():
            continue
        columns = connection.execute(f"PRAGMA table_info({name})").fetchall()
        places = ", ".join("?" * len(columns))
        for row in range(FILLED):
            cells = [_cell(kind, bool(key), row, place, texts, numbers) for place, _, kind, _, _, key in columns]
            connection.execute(f"INSERT OR IGNORE INTO {name} VALUES ({places})", cells)


def _cell(kind: str, key: bool, row: int, place: int, texts: Sequence[str], numbers: Sequence[float]) -> Any:
    """Every column goes through all values again and again, each time in another order."""
    if re.search(r"int|real|num|dec|float|double|bool", kind, re.IGNORECASE):
        value = row + 1 if key else _turn(numbers, row, place)
        return int(value) if float(value).is_integer() else value
    return f"{_turn(texts, row, place)} {row}" if key else _turn(texts, row, place)


def _turn(values: Sequence[Any], row: int, place: int) -> Any:
    round_, at = divmod(row, len(values))
    return random.Random(f"{place}/{round_}").sample(values, len(values))[at]
