"""Carrying out a plan: one pass, independent changes side by side, stopping for nothing but a signal or a lost lease.

Apply decides nothing. It never waits for work that takes long (jobs, deployments): the next pass sees how they went.
It waits briefly, once, at the end, for operations that are quick and whose failure a person wants to hear of now.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from reconciler.backends import labels
from reconciler.backends.failures import CODES, failure_of
from reconciler.backends.registry import KINDS
from reconciler.cloud import claims, served, verdicts
from reconciler.cloud.create import Step, create
from reconciler.cloud.errors import LostAnswer
from reconciler.cloud.last_look import is_still_its
from reconciler.cloud.lease import Lease
from reconciler.cloud.retry import over_quota
from reconciler.cloud.side_by_side import side_by_side
from reconciler.cloud.site import Site
from reconciler.cloud.uploads import Uploaded, upload_all
from reconciler.core.calls import Call, Scene
from reconciler.core.changes import Action, Change, Plan
from reconciler.core.errors import CloudError, Conflict, LoraformError, Refused
from reconciler.core.graph import apply_order, predecessors
from reconciler.core.report import Outcome, Report, Result
from reconciler.core.resources import Address, Json, Phase, Refusal, Role, Snapshot

SHORT_METHODS = frozenset({"UploadModel", "CreateEndpoint", "UndeployModel", "DeleteEndpoint", "DeleteModelVersion"})
"""Operations of seconds. The next pass builds on them, and when they fail there is nothing else to look at."""
SHORT_BOUND = 20.0
"""Seconds that one pass waits for all of them together."""


@dataclass(slots=True)
class _Pass:
    """What one apply remembers while it runs. Its threads only read it, but for `refusal`, which all give alike."""

    site: Site
    snapshot: Snapshot
    scene: Scene
    by: str
    lease: Lease | None
    stop: threading.Event
    uploaded: Uploaded = field(default_factory=Uploaded)
    failed: set[Address] = field(default_factory=set)
    refusal: str = ""
    """Why nothing more is sent, once that is so: a lease that came back would not undo what was left out."""

    def may_go_on(self) -> None:
        """Raise Refused when no mutating call may be sent any more."""
        if self.refusal:
            raise Refused(self.refusal)
        if self.stop.is_set():
            self.refusal = "interrupted"
            raise Refused(self.refusal)
        if self.lease is not None:
            try:
                self.lease.check()
            except Refused as error:
                self.refusal = error.message
                raise


def apply_plan(
    plan: Plan,
    snapshot: Snapshot,
    site: Site,
    *,
    by: str,
    lease: Lease | None = None,
    commit: str = "",
    stop: threading.Event | None = None,
    on_result: Callable[[Result], None] = lambda result: None,
) -> Report:
    """Do what `plan` says is to be done now: in dependency order, and side by side where that leaves it open.

    `snapshot` is what the plan was made from; `by` names the applier in claims; `commit` goes into labels. When
    something fails, what depends on it is skipped and all else goes on. When `stop` is set, or the lease is lost, the
    calls in flight are finished and the rest reported as skipped. `on_result` is told of every result as it becomes
    known, in the caller's thread; the report has them in the plan's order.
    """
    stop = stop or threading.Event()
    scene = Scene(site.target.parent, site.target.fleet, _provenance(commit, plan), _outputs(plan, snapshot))
    this = _Pass(site, snapshot, scene, by, lease, stop)
    changes = apply_order(plan.now)
    steps: dict[int, Step] = {}
    results: dict[int, Result] = {}

    def ended(position: int, step: Step) -> None:
        change = changes[position]
        if step.outcome in (Outcome.FAILED, Outcome.SKIPPED):
            this.failed.add(change.address)
        steps[position] = step
        results[position] = Result(change, step.outcome, step.message)
        if not _is_short(step):
            on_result(results[position])

    def carry_out(positions: list[int]) -> None:
        group = [changes[position] for position in positions]
        side_by_side(
            predecessors(group),
            lambda number: _attempt(this, group[number]),
            site.appliers,
            lambda number, step: ended(positions[number], step),
        )

    # Cancels first: they free the machines that others need.
    carry_out([position for position, change in enumerate(changes) if change.action is Action.CANCEL])
    carry_out([position for position, change in enumerate(changes) if change.action is not Action.CANCEL])

    short = [position for position in sorted(steps) if _is_short(steps[position])]
    end = site.clock.monotonic() + SHORT_BOUND

    def settled(number: int, result: Result) -> None:
        results[short[number]] = result
        on_result(result)

    side_by_side(
        [()] * len(short),
        lambda number: _settle(this, results[short[number]], steps[short[number]], end),
        site.appliers,
        settled,
    )
    standing = tuple(_standing(change) for change in plan.changes if change.action in (Action.WAIT, Action.HOLD))
    in_order = tuple(results[position] for position in sorted(results))
    return Report(plan, in_order + standing, interrupted=bool(this.refusal) or stop.is_set())


def _attempt(this: _Pass, change: Change) -> Step:
    try:
        this.may_go_on()
        blocked = sorted(set(change.after.depends_on) & this.failed) if change.after else []
        if blocked:
            return Step(Outcome.SKIPPED, f"{blocked[0].role} failed")
        return _perform(this, change)
    except Refused as error:
        return Step(Outcome.SKIPPED, error.message)
    except LostAnswer as error:
        return Step(Outcome.WAITING, f"{error.message}: the next pass looks whether it was done")
    except LoraformError as error:
        if _moved(error, change):
            return Step(Outcome.WAITING, f"{error.message}: it changed meanwhile, the next pass looks again")
        if isinstance(error, CloudError) and over_quota(error):
            return Step(Outcome.WAITING, f"{error.message}: the next pass goes on")
        return Step(Outcome.FAILED, f"{error.message}\n{error.remedy}" if error.remedy else error.message)


def _moved(error: LoraformError, change: Change) -> bool:
    """True when the plan's view of the object was overtaken: another etag, or another operation on it in flight."""
    if isinstance(error, Conflict):
        return change.action is not Action.CREATE
    return isinstance(error, CloudError) and error.status == "ABORTED"


def _perform(this: _Pass, change: Change) -> Step:
    site, kind = this.site, KINDS[change.kind]
    scene = _scene_of(this, change)
    # What a gate said is kept before anything shows it: after a crash in between nobody judges again.
    new = change.verdict if change.verdict and not change.verdict.kept else None
    if new and not verdicts.keep(site.storage, site.target, new):
        return Step(Outcome.WAITING, "its gate was judged by somebody else just now: the next pass reads what it said")
    if change.action is Action.CREATE and change.after:
        calls = kind.create(change, scene)
        upload_all(site.storage, site.target, site.root, change.after.uploads, this.uploaded, this.may_go_on)
        return create(site, change, change.after, calls, this.by, this.may_go_on)
    if change.action is Action.UPDATE and change.after:
        calls = kind.update(change, scene)
        if change.before and change.before.adopted_from and change.address.role is Role.ENDPOINT:
            now = site.clock.now()
            claims.declare(site.storage, site.target, change.after, this.by, now=now, adopted=change.before.name)
        served.note_split(site, calls, this.snapshot.live, site.clock.now())
        started = _call_all(this, calls)
        claims.declare(site.storage, site.target, change.after, this.by, now=site.clock.now())
        return Step(Outcome.DONE, started=started)
    # The claim goes first: an object that is removed on purpose must not keep a revert from making it again.
    if change.action is Action.CANCEL:
        if change.before:
            claims.let_go(site.storage, site.target, change.before, this.by, now=site.clock.now())
        return Step(Outcome.DONE, started=_call_all(this, kind.cancel(change, scene)))
    if change.before:
        if not is_still_its(site, change):
            return Step(Outcome.WAITING, "another experiment has its endpoint by now: the next pass looks again")
        claims.drop(site.storage, site.target, change.before)
        if change.address.role is Role.DEPLOYMENT:
            served.note(site, change.before.stamp, 0, site.clock.now())
    return Step(Outcome.DONE, started=_call_all(this, kind.delete(change, scene)))


def _call_all(this: _Pass, calls: tuple[Call, ...]) -> tuple[tuple[str, Mapping[str, Json]], ...]:
    started = []
    for call in calls:
        answer = this.site.vertex.perform(call, this.may_go_on)
        if "/operations/" in str(answer.get("name", "")):
            started.append((call.method, answer))
    return tuple(started)


def _is_short(step: Step) -> bool:
    return any(method in SHORT_METHODS for method, _ in step.started)


def _settle(this: _Pass, result: Result, step: Step, end: float) -> Result:
    """The result after its quick operations; one that is still not done by `end` counts as done: the next pass sees."""
    for method, operation in step.started:
        if method not in SHORT_METHODS:
            continue
        try:
            left = end - this.site.clock.monotonic()
            this.site.vertex.wait(operation, left, this.stop.is_set)
        except CloudError as error:
            if result.change.after and result.change.action is Action.CREATE:
                failure = failure_of({"code": CODES.get(error.status, 0), "message": error.message}, "")
                refusal = Refusal(this.site.clock.now(), failure)
                claims.refuse_later(this.site.storage, this.site.target, result.change.after, refusal)
                if failure.cause.transient:
                    return replace(result, outcome=Outcome.WAITING, message=f"{failure.cause}: {error.message}")
            return replace(result, outcome=Outcome.FAILED, message=error.message)
    return result


def _standing(change: Change) -> Result:
    return Result(change, Outcome.WAITING if change.action is Action.WAIT else Outcome.HELD)


def _scene_of(this: _Pass, change: Change) -> Scene:
    """The scene with, for a thing whose desired identity is not there yet, the outputs of the newest other one."""
    if change.address in this.scene.outputs:
        return this.scene
    others = [item for item in this.snapshot.live if item.address == change.address and item.phase is Phase.READY]
    newest = max(others, key=lambda item: (item.created, item.name), default=None)
    if newest is None:
        return this.scene
    return replace(this.scene, outputs={**this.scene.outputs, change.address: newest.outputs})


def _outputs(plan: Plan, snapshot: Snapshot) -> dict[Address, Mapping[str, Json]]:
    """What references resolve to: only of things that are as git wants them, so that none points at an old version."""
    found: dict[Address, Mapping[str, Json]] = {}
    for change in plan.changes:
        if change.after is None or change.action not in (Action.NOOP, Action.UPDATE):
            continue
        live = change.before.outputs if change.before else {}
        record = snapshot.records.get(change.after.stamp) if change.after.once else None
        found[change.address] = {**live, **(record.outputs if record else {})}
    return found


def _provenance(commit: str, plan: Plan) -> dict[str, str]:
    stamps = {labels.COMMIT: commit, labels.PLAN: plan.id}
    return {key: value for key, value in stamps.items() if value}
