"""`kill -9` of a real apply process at every changing request, before and after its effect; then another apply.

The process dies right after the request took effect and before it heard so; what it would have done next has not
happened, so this is also the moment before the next request. The world must end as if nothing had happened, and never
hold two jobs of one identity.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.cloud.claims import LOCAL_TTL
from reconciler.cloud.clock import Clock
from reconciler.cloud.site import Site, open_site
from reconciler.core.changes import Action
from reconciler.core.resources import Resource, Role
from reconciler.core.target import Target
from tests.cloud.proxy import Assassin, running_proxy
from tests.cloud.story import actions, already_trained, calm, endpoints, jobs, live, messages, models, settle
from tests.cloud.victim import start
from tests.cloud.wishes import whole

pytestmark = pytest.mark.slow

BOUNDARIES = 40
"""More changing requests than any of these applies makes."""


def kill_one(target: Target, root: Path, desired: tuple[Resource, ...], nth: int) -> list[str] | None:
    """Apply in a process that dies at its nth changing request. Its requests; None when it ended before dying."""
    gate = root / f"{target.fleet}.go"
    assassin = Assassin(nth)
    with running_proxy(str(target.api_endpoint), assassin) as url:
        process = start(replace(target, api_endpoint=url), root, desired, gate)
        assassin.victim = process.pid or 0
        gate.touch()
        process.join(30)
        assert process.exitcode in (0, -9)
        return assassin.seen if process.exitcode else None


def afterwards(target: Target, root: Path) -> Site:
    """The site for whoever comes next: after the claims of the dead have lapsed."""
    return open_site(target, root, Clock(now=lambda: time.time() + LOCAL_TTL + 1))


def test_killed_anywhere_in_a_first_apply_the_next_one_ends_with_one_job(target: Target, tmp_path: Path) -> None:
    requests: list[str] | None = []
    deaths: list[str] = []
    for nth in range(1, BOUNDARIES):
        mine = replace(target, fleet=f"{target.fleet}-{nth}")
        desired = whole(mine)
        open_site(mine, tmp_path)
        requests = kill_one(mine, tmp_path, desired, nth)
        if requests is None:
            break
        deaths.append(requests[nth - 1])

        site = afterwards(mine, tmp_path)
        last = calm(site, desired)

        assert len(jobs(site)) == 1, requests
        assert [endpoint["display_name"] for endpoint in endpoints(site)] == ["bot"], requests
        assert actions(last)["training"] is Action.WAIT, requests

    assert requests is None, "the applies went on beyond the last boundary"
    assert any("/customJobs" in request for request in deaths)


def test_killed_anywhere_in_a_roll_out_the_next_one_serves_one_model(target: Target, tmp_path: Path) -> None:
    requests: list[str] | None = []
    deaths: list[str] = []
    for nth in range(1, BOUNDARIES):
        mine = replace(target, fleet=f"{target.fleet}-{nth}")
        desired = whole(mine)
        already_trained(open_site(mine, tmp_path), desired[0])
        requests = kill_one(mine, tmp_path, desired, nth)
        if requests is None:
            break
        deaths.append(requests[nth - 1])

        site = afterwards(mine, tmp_path)
        last = settle(site, desired)

        assert set(actions(last).values()) == {Action.NOOP}, (requests, messages(last))
        assert [model["version_id"] for model in models(site)] == ["1"], requests
        assert len(live(site, Role.DEPLOYMENT)) == 1, requests
        assert [list(item["traffic_split"].values()) for item in endpoints(site)] == [[100]], requests
        assert jobs(site) == [], requests

    assert requests is None, "the applies went on beyond the last boundary"
    for call in ("models:upload", "/endpoints?", ":deployModel", "updateMask=trafficSplit"):
        assert any(call in request for request in deaths), (call, deaths)
