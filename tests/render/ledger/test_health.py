from __future__ import annotations

import pytest

from reconciler.core.resources import Phase
from reconciler.render.ledger.health import health_of, sync_of
from tests.core.builders import converged, deployment, endpoint, fleet, live, model, plan, record, snapshot, training

RUN, MODEL, HOME, SERVE = training(), model(), endpoint(), deployment()
DONE = record(RUN)
SERVED = (live(MODEL), live(HOME))
RETRAINED = (*converged().live, live(training(version=2), Phase.FAILED))
TURNED = live(SERVE, spec={"max_replica_count": 9, "traffic": 100}, declared={"serving.max_replica_count": 1})
CASES = {
    "healthy, in sync": (fleet(), converged()),
    "absent, out of sync": (fleet(), snapshot()),
    "training, in progress": (fleet(), snapshot(live(RUN, Phase.RUNNING), live(HOME))),
    "failed, held": (fleet(), snapshot(live(RUN, Phase.FAILED), live(HOME))),
    "trained, in sync": ((RUN,), snapshot(records=(DONE,))),
    "deploying, in progress": (fleet(), snapshot(*SERVED, live(SERVE, Phase.PENDING), records=(DONE,))),
    "failed, held beside": (fleet(), snapshot(*SERVED, live(SERVE, Phase.FAILED), records=(DONE,))),
    "suspended, held": (fleet(), snapshot(live(MODEL), live(HOME, suspended=True), records=(DONE,))),
    "healthy, not in git": ((), converged()),
    "degraded, held": (fleet(version=2), snapshot(*RETRAINED, records=(DONE,))),
    "healthy, drifted": (fleet(), snapshot(*SERVED, TURNED, records=(DONE,))),
}


@pytest.mark.parametrize("name", CASES)
def test_health_says_whether_it_works_and_sync_whether_it_is_as_git_says(name: str) -> None:
    desired, seen = CASES[name]

    made = plan(desired, seen)

    health, sync = health_of(seen.live, made.changes), sync_of(made.changes)
    assert f"{health.text}, {sync.text}" == name.removesuffix(" beside")
    assert health.why
    assert sync.why
