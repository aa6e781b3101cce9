from __future__ import annotations

from pathlib import Path

import pytest

from images.train.answers import Prediction
from images.train.failures import SpecInvalid
from images.train.own_metric import load_own
from images.train.storage import Storage

ROW = Prediction("?", "On shelf 2.", "On shelf 2, please.", True, row=1)
RECORDS = [{"kind": "rude"}, {"kind": "polite"}]


def loaded(tmp_path: Path, text: str, place: str = "") -> float:
    file = tmp_path / "polite.py"
    file.write_text(text)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return load_own({"polite": place or f"{file}:score"}, RECORDS, Storage(), scratch)["polite"](ROW)


def test_a_function_of_a_file_scores_an_answer(tmp_path: Path) -> None:
    assert loaded(tmp_path, "def score(answer, expected):\n    return 'please' in answer\n") == 1.0


def test_it_may_look_at_the_row_as_it_stands_in_the_file(tmp_path: Path) -> None:
    assert loaded(tmp_path, "def score(answer, expected, record):\n    return len(record['kind'])\n") == 6.0


def test_a_function_of_an_installed_package_is_one_too(tmp_path: Path) -> None:
    assert loaded(tmp_path, "", "operator:eq") == 0.0


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("def other(answer, expected): ...\n", "", "has no function 'score'"),
        ("import nothing_of_that_name\n", "", "cannot be imported: ModuleNotFoundError"),
        ("def score(answer, expected): return 1 / 0\n", "", "fails on eval row 1: ZeroDivisionError"),
        ("def score(answer, expected): return 'good'\n", "", "fails on eval row 1: ValueError"),
        ("", "/not/there.py:score", "is not there"),
        ("", "no.such.package:score", "cannot be imported"),
    ],
)
def test_a_function_that_cannot_score_is_told_with_its_name(tmp_path: Path, text: str, place: str, said: str) -> None:
    with pytest.raises(SpecInvalid, match=rf"evaluation\.own\.polite.*{said}"):
        loaded(tmp_path, text, place)
