"""The page of all causes, written from the table: `python -m tests.core.failures_page` writes docs/failures.md."""

from __future__ import annotations

from pathlib import Path

from reconciler.core.causes import Cause

PAGE = Path(__file__).parents[2] / "docs/failures.md"
HEAD = """\
# Failures

<!-- Written by `python -m tests.core.failures_page`; a test compares. -->

What fails has a name. The name is found in the error of the job or the operation and, where that leaves it open, in the
last lines of the log; the texts that are known are in `reconciler/backends/failures.py`, real examples of each in
`tests/backends/causes.yaml`. A fleet in which nothing failed reads no log; at most eight are read in one look.

- `loraform plan` and `loraform status` show the name, what it means, the line that gave it away, and the way out.
- `loraform explain NAME` adds every try, the end of the log, and a patch of the manifest.
- `loraform explain NAME --patch | git apply` makes the change. It is computed from the manifest's own text (comments
  stay), is valid, and keeps the identity where it can: after `out-of-gpu-memory` half as many rows at a time and twice
  as many steps, so that the effective batch stays. Where nothing in the manifest is wrong, a right to grant or an image
  to push, the patch raises `run.attempt`: apply it once that is done. Where a text allows no mechanical edit (anchors,
  say) the next best one is offered.
- `loraform plan --format json` has all of it under `failure` of a change.

"""
AGAIN = """
## What passes by itself

These are tried again, the wait doubling each time: from one minute on in the cloud, from five seconds on this machine.
A log alone never makes a failure one of these.

| cause | tries | first wait |
|---|---|---|
"""
HELD = """
## What waits for a person

These hold until `run.attempt` or a setting of the run (for a deployment: of its serving) changes in git.

"""


def page() -> str:
    """The whole page."""
    passing = [cause for cause in Cause if cause.transient]
    held = [cause for cause in Cause if not cause.transient]
    rows = [_again(cause) for cause in passing]
    return HEAD + _table(passing) + AGAIN + "\n".join(rows) + "\n" + HELD + _table(held)


def _table(causes: list[Cause]) -> str:
    rows = [f"| `{cause}` | {cause.meaning.sentence} | {cause.meaning.remedy} |" for cause in causes]
    return "\n".join(["| cause | what happened | what helps |", "|---|---|---|", *rows]) + "\n"


def _again(cause: Cause) -> str:
    again = cause.meaning.again
    assert again is not None
    minutes = "a minute" if again.slower == 1 else f"{again.slower:g} minutes"
    return f"| `{cause}` | {again.tries} | {minutes} |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
