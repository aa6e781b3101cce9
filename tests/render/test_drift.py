from __future__ import annotations

import json

from reconciler.core.changes import FieldChange
from reconciler.core.culprits import Caller
from reconciler.core.drift import Difference, Verdict
from reconciler.core.resources import Role
from reconciler.render.drift import drift_json, drift_text
from tests.core.builders import at
from tests.render.golden import same_as_golden

FOUND = (
    Difference(at(Role.ENDPOINT), Verdict.PENDING, "e/1", "", (FieldChange("labels", {}, {"team": "a"}, "label"),)),
    Difference(at(Role.DEPLOYMENT), Verdict.DRIFTED, "e/1#2", "", (FieldChange("traffic\x1b", 40, 100, "route"),)),
    Difference(at(Role.DEPLOYMENT, "faq"), Verdict.MISSING, "", "its creation is on record, and it is not there"),
    Difference(at(Role.TRAINING, "new"), Verdict.PENDING, "", "create: absent"),
)


CALLERS = {
    (at(Role.DEPLOYMENT), Verdict.DRIFTED): Caller("eve@example.com", "UpdateEndpoint", "2026-11-25T17:00:00.5Z"),
    (at(Role.DEPLOYMENT, "faq"), Verdict.MISSING): Caller("mallory\x1b", "UndeployModel", "2026-11-24T09:00:00Z"),
}


def test_what_came_from_outside_git_is_told_first() -> None:
    same_as_golden("drift.txt", drift_text(FOUND, where="prod, accepted commit 4be21d0", callers=CALLERS).plain)


def test_no_drift_is_said_in_one_line() -> None:
    assert drift_text((), where="local, the working tree").plain == "no drift   local, the working tree\n"


def test_drift_for_programs_has_every_key() -> None:
    document = json.loads(drift_json(FOUND, where="here", callers=CALLERS))

    assert document["tree"] == "here"
    assert document["differences"][1] == {
        "experiment": "bot",
        "role": "deployment",
        "verdict": "drifted",
        "name": "e/1#2",
        "why": "",
        "by": {"principal": "eve@example.com", "method": "UpdateEndpoint", "at": "2026-11-25T17:00:00.5Z"},
        "fields": [{"path": "traffic\x1b", "live": 40, "git": 100}],
    }
