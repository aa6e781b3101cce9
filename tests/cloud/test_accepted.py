from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.cloud.accepted import Accepted, accept, read_accepted
from reconciler.cloud.site import Site
from reconciler.core.errors import LoraformError, Refused

FIRST = Accepted(commit="1" * 40, plan="abc", who="me", at=1.0)
SECOND = replace(FIRST, commit="2" * 40)
SIDEWAYS = replace(FIRST, commit="3" * 40)


def descends(commit: str, ancestor: str) -> bool:
    """A history of two commits, and one beside it."""
    return (commit[0], ancestor[0]) in {("2", "1"), ("1", "1"), ("2", "2"), ("3", "3")}


def test_before_the_first_apply_nothing_is_accepted(site: Site) -> None:
    assert read_accepted(site.storage, site.target) is None


def test_what_is_accepted_is_read_back(site: Site) -> None:
    accept(site.storage, site.target, FIRST, descends)

    assert read_accepted(site.storage, site.target) == FIRST


def test_the_accepted_commit_moves_forward(site: Site) -> None:
    accept(site.storage, site.target, FIRST, descends)
    accept(site.storage, site.target, SECOND, descends)

    assert read_accepted(site.storage, site.target) == SECOND


def test_a_late_apply_of_an_older_commit_does_not_move_it_back(site: Site) -> None:
    accept(site.storage, site.target, SECOND, descends)

    result = accept(site.storage, site.target, FIRST, descends)

    assert result == SECOND
    assert read_accepted(site.storage, site.target) == SECOND


def test_a_commit_on_another_line_of_history_is_refused(site: Site) -> None:
    accept(site.storage, site.target, SECOND, descends)

    with pytest.raises(Refused, match="333333333333 does not descend"):
        accept(site.storage, site.target, SIDEWAYS, descends)


def test_the_same_commit_may_be_accepted_with_another_plan(site: Site) -> None:
    accept(site.storage, site.target, FIRST, descends)
    accept(site.storage, site.target, replace(FIRST, plan="def"), descends)

    found = read_accepted(site.storage, site.target)
    assert found is not None
    assert found.plan == "def"


def test_an_object_that_is_no_accepted_commit_is_a_clear_error(site: Site) -> None:
    site.storage.write(f"loraform/{site.target.fleet}/accepted.json", b'{"sha": 1}')

    with pytest.raises(LoraformError, match="is not an accepted commit"):
        read_accepted(site.storage, site.target)
