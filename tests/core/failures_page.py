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
LADDER = """
## The ladder

```yaml
run:
  scheduling: {strategy: [spot, standard]}
  regions: [europe-west4, us-central1]       # buckets: {us-central1: BUCKET} under the target in loraform.yaml
```

The order is declared: all strategies in the first region, then all in the next. After a stock-out, a preemption or a
lack of quota the next rung is tried at once; other passing failures stay on their rung and wait. After the last rung it
waits and begins anew, at most five rounds. Another attempt, or another setting of `run`, begins on the first rung.
Nothing of this is in the identity: what was trained on one rung is what another would have trained.

A job in another region reads and writes the target's own bucket for all that counts (data, lock, run record, artifact),
so that bytes cross regions; only what Vertex AI itself writes goes to the bucket that `buckets` gives for the region.
Every region of `buckets` is looked at in each plan (one more list of jobs each), also when no manifest names it any
more: take a region out of `buckets` only when nothing runs there. Models, endpoints and deployments stay in the
target's region. On this machine regions without a bucket of their own are left out.

Each try is on record: a job has its rung as the label `loraform-rung`, its region in its name, its end in its error; a
create that was refused stands in the claim; the run record says on which strategy and where it was trained.
`loraform explain NAME` lists the tries.
"""
HELD = """
## What waits for a person

These hold until `run.attempt` or a setting of the run (for a deployment: of its serving) changes in git. That goes for
jobs, uploads of models, endpoints and deployments alike. What only the one who applies may not do (a missing right, a
quota of requests) is not held: nothing was begun, and the next pass asks again.

"""


def page() -> str:
    """The whole page."""
    passing = [cause for cause in Cause if cause.transient]
    held = [cause for cause in Cause if not cause.transient]
    rows = [_again(cause) for cause in passing]
    return HEAD + _table(passing) + AGAIN + "\n".join(rows) + "\n" + LADDER + HELD + _table(held)


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
