"""Many changes in one apply: what is independent goes side by side, and what goes wrong stays with its own."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

from reconciler.cloud.apply import apply_plan
from reconciler.cloud.clock import Clock
from reconciler.cloud.lease import acquire
from reconciler.cloud.reconcile import Wish, look, one_pass
from reconciler.cloud.site import Site, open_site
from reconciler.core.graph import apply_order
from reconciler.core.guardrails import Limits
from reconciler.core.report import Outcome
from reconciler.core.resources import Upload
from reconciler.core.target import Target
from tests.cloud.proxy import running_proxy
from tests.cloud.story import already_trained, jobs, messages, settle
from tests.cloud.wishes import training, whole
from tests.emulator_fixture import emulator_calls, post, running_emulator

MANY = Limits(new_runs=1000)


class Meeting:
    """Lets no request that begins so through before `parties` of them have come."""

    def __init__(self, beginning: str, parties: int) -> None:
        self._beginning = beginning
        self._barrier = threading.Barrier(parties, timeout=30)

    def passes(self, line: str) -> bool:
        if line.startswith(self._beginning):
            self._barrier.wait()
        return True

    def answers(self, line: str) -> bool:
        return True


class Rates:
    """How many requests to one endpoint are on their way at a time, at most."""

    def __init__(self) -> None:
        self.most: Counter[str] = Counter()
        self._now: Counter[str] = Counter()
        self._lock = threading.Lock()

    def passes(self, line: str) -> bool:
        name = self._endpoint(line)
        with self._lock:
            self._now[name] += 1
            self.most[name] = max(self.most[name], self._now[name])
        return True

    def answers(self, line: str) -> bool:
        with self._lock:
            self._now[self._endpoint(line)] -= 1
        return True

    def _endpoint(self, line: str) -> str:
        changing = not line.startswith("GET ") and "/endpoints/" in line
        return line.partition("/endpoints/")[2].partition(":")[0].partition("?")[0] if changing else ""


def behind(site: Site, url: str) -> Site:
    return open_site(replace(site.target, api_endpoint=url), site.root)


def test_independent_jobs_are_created_side_by_side(site: Site) -> None:
    desired = tuple(training(site.target, f"bot-{number}") for number in range(4))

    with running_proxy(str(site.target.api_endpoint), Meeting("POST /v1/projects/acme", 4)) as url:
        seen = one_pass(behind(site, url), Wish(desired))

    assert [result.outcome for result in seen.results] == [Outcome.DONE] * 4, messages(seen)
    assert len(jobs(site)) == 4


def test_the_report_is_in_the_order_of_the_plan_however_the_changes_ended(site: Site) -> None:
    desired = tuple(resource for number in range(6) for resource in whole(site.target, f"bot-{number}"))

    seen = one_pass(site, Wish(desired, limits=MANY))

    done = [result.change for result in seen.results if result.change.action.mutates]
    assert done == list(apply_order(seen.plan.now))


def test_one_endpoint_never_sees_two_changing_calls_at_once(site: Site) -> None:
    desired = tuple(resource for number in range(3) for resource in whole(site.target, f"bot-{number}"))
    for resource in desired:
        if resource.once:
            already_trained(site, resource)
    rates = Rates()

    with running_proxy(str(site.target.api_endpoint), rates) as url:
        settle(behind(site, url), desired, seconds=60.0)

    assert {name: most for name, most in rates.most.items() if name} == {
        f"lf-{site.target.fleet}-bot-{number}": 1 for number in range(3)
    }


def test_what_fails_holds_back_only_what_depends_on_it(site: Site, tmp_path: Path) -> None:
    missing = (Upload("nowhere.jsonl", f"{site.target.folder}/data/{'a' * 64}/nowhere.jsonl"),)
    desired = (training(site.target, "bad", uploads=missing), *(training(site.target, f"bot-{n}") for n in range(5)))

    seen = one_pass(site, Wish(desired, limits=MANY))

    ended = {result.change.address.experiment: result.outcome for result in seen.results}
    assert ended == {"bad": Outcome.FAILED, **{f"bot-{n}": Outcome.DONE for n in range(5)}}


def test_a_file_that_many_experiments_name_is_uploaded_once(site: Site, tmp_path: Path, url: str) -> None:
    (tmp_path / "rows.jsonl").write_text("{}\n")
    shared = (Upload("rows.jsonl", f"{site.target.folder}/data/{'b' * 64}/rows.jsonl"),)
    desired = tuple(training(site.target, f"bot-{number}", uploads=shared) for number in range(8))
    uploads: list[str] = []

    class Uploads:
        def passes(self, line: str) -> bool:
            if "/upload/storage" in line and "rows.jsonl" in line:
                uploads.append(line)
            return True

        def answers(self, line: str) -> bool:
            return True

    with running_proxy(str(site.target.api_endpoint), Uploads()) as address:
        one_pass(replace(behind(site, address), root=tmp_path), Wish(desired, limits=MANY))

    assert len(jobs(site)) == 8
    assert len(site.storage.list(f"loraform/{site.target.fleet}/data/")) == 1
    assert len(uploads) <= 1, uploads


def test_a_lease_that_is_lost_on_the_way_stops_every_thread_before_its_next_call(site: Site) -> None:
    desired = tuple(training(site.target, f"bot-{number}") for number in range(30))
    seen = look(site, Wish(desired, limits=MANY))
    lease = acquire(site.storage, site.target, ttl=60.0)

    def steal(_: object) -> None:
        site.storage.write(f"loraform/{site.target.fleet}/lease.json", b'{"holder": "thief", "since": 1}')
        lease.renew()

    report = apply_plan(seen.plan, seen.snapshot, site, by="me", lease=lease, on_result=steal)

    ended = Counter(result.outcome for result in report.results)
    assert ended[Outcome.DONE] == len(jobs(site))
    assert ended[Outcome.SKIPPED] >= 10
    assert report.interrupted
    lease.release()


def test_beyond_a_request_quota_all_jobs_come_to_be_without_a_storm_of_calls(target: Target, tmp_path: Path) -> None:
    """Twenty submissions a minute are allowed, fifty jobs are wanted; whoever sleeps moves the time of both sides."""
    table = tmp_path / "quotas.json"
    table.write_text('[{"metric": "job_submission_requests", "limit": 20}]')
    with running_emulator(tmp_path / "v", {"train": "hold"}, "--quotas", str(table), "--jobs-at-once", "99") as url:
        site = open_site(replace(target, api_endpoint=url), tmp_path, clock_of(url))
        desired = tuple(training(site.target, f"bot-{number}") for number in range(50))
        seen = look(site, Wish(desired, limits=MANY))

        report = apply_plan(seen.plan, seen.snapshot, site, by="me")

        answers = Counter(call["status"] for call in emulator_calls(url) if call["method"].endswith("CreateCustomJob"))
        assert {result.outcome for result in report.results} == {Outcome.DONE}
        assert len(jobs(site)) == answers[200] == 50
        assert 0 < answers[429] < 50


def clock_of(url: str) -> Clock:
    """The virtual time of a server, in which to sleep moves it for everybody."""
    post(f"{url}/emulator/clock", {"mode": "virtual"})
    begun, lock = time.time(), threading.Lock()
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        with lock:
            slept.append(seconds)
            post(f"{url}/emulator/clock", {"advance_s": seconds})

    def now() -> float:
        with lock:
            return begun + sum(slept)

    return Clock(now, now, sleep)
