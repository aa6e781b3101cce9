from __future__ import annotations

import sqlite3

import pytest

from images.train.answers import Prediction
from images.train.failures import DataInvalid
from images.train.sql import Databases, same_result

SCRIPT = """
CREATE TABLE books (id INTEGER PRIMARY KEY, title TEXT, shelf INTEGER, price REAL);
INSERT INTO books VALUES (1, 'Dune', 2, 9.5), (2, 'Emma', 1, 7), (3, 'Solaris', 2, 8.25);
"""
EMPTY = "CREATE TABLE books (id INTEGER PRIMARY KEY, title TEXT, shelf INT, price DECIMAL(8, 2));"


@pytest.mark.parametrize(
    ("expected", "answer", "same"),
    [
        ("SELECT title FROM books WHERE shelf = 2", "select b.title from books as b where b.shelf >= 2;", True),
        ("SELECT title FROM books WHERE shelf = 2", "SELECT title FROM books", False),
        ("SELECT title FROM books", "SELECT title FROM books ORDER BY title DESC", True),
        ("SELECT title FROM books ORDER BY title", "SELECT title FROM books ORDER BY title DESC", False),
        ("SELECT count(*) FROM books", "SELECT 3.0", True),
        ("SELECT sum(price) FROM books", "SELECT 24.75", True),
        ("SELECT title FROM books", "SELECT titel FROM books", False),
        ("SELECT title FROM books", "", False),
        ("SELECT title FROM books", "SELECT title FROM books; SELECT 1", False),
        ("SELECT title FROM books", "DROP TABLE books", False),
        ("SELECT title FROM books", "ATTACH DATABASE '/tmp/x.db' AS x", False),
        ("SELECT title FROM books", "SELECT title\0 FROM books", False),
        ("DELETE FROM books WHERE id = 1;", "delete from books  where id = 1", True),
        ("DELETE FROM books WHERE id = 1;", "DELETE FROM books WHERE id = 2", False),
    ],
)
def test_two_queries_match_when_they_read_the_same(expected: str, answer: str, same: bool) -> None:
    assert same_result(SCRIPT, expected, answer) is same


@pytest.mark.parametrize(
    ("expected", "wrong"),
    [
        ("SELECT title FROM books WHERE shelf = 12", "SELECT title FROM books WHERE shelf = 13"),
        ("SELECT count(*) FROM books WHERE title = 'Dune'", "SELECT count(*) FROM books WHERE title = 'Emma'"),
        ("SELECT max(price) FROM books", "SELECT min(price) FROM books"),
        ("SELECT title FROM books WHERE price > 40", "SELECT title FROM books WHERE price >= 40"),
    ],
)
def test_tables_without_rows_get_some_so_that_wrong_queries_differ(expected: str, wrong: str) -> None:
    assert same_result(EMPTY, expected, expected)
    assert not same_result(EMPTY, expected, wrong)


def test_a_query_that_never_ends_is_ended() -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"

    assert not same_result(SCRIPT, "SELECT 1", endless)


def test_an_answer_that_wants_too_much_memory_is_wrong() -> None:
    assert not same_result(SCRIPT, "SELECT 1", "SELECT length(zeroblob(900000000))")


def test_a_query_changes_nothing_for_the_next_one() -> None:
    with pytest.raises(sqlite3.Error):
        same_result(SCRIPT, "WITH x AS (SELECT 1) DELETE FROM books", "SELECT 1")


def test_the_script_stands_in_a_field_of_the_row() -> None:
    databases = Databases([{"context": EMPTY}, {"context": SCRIPT}], field="context")

    assert databases.score(Prediction("?", "SELECT count(*) FROM books", "SELECT 3", True, row=1)) == 1.0
    assert databases.score(Prediction("?", "SELECT count(*) FROM books", "SELECT 3", True, row=0)) == 0.0


@pytest.mark.parametrize(
    ("record", "expected", "said"),
    [
        ({}, "SELECT 1", "eval row 0 has no text in 'context'"),
        ({"context": "CREATE TABEL x"}, "SELECT 1", "sqlite refuses"),
        ({"context": SCRIPT}, "SELECT price_ FROM books", "no such column: price_"),
    ],
)
def test_a_row_that_cannot_judge_is_told(record: dict[str, str], expected: str, said: str) -> None:
    with pytest.raises(DataInvalid, match=said):
        Databases([record], field="context").check(0, expected)
