"""`kill -9` of the real command at every changing request, before it arrives and after its effect; then once more.

The end must be as if nothing had happened, with one job of each identity. Reading requests change nothing: being killed
at one is being killed before the next changing one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.cli.conftest import write_experiment
from tests.cli.crash_world import KILLED, World, open_world, training

pytestmark = pytest.mark.heavy
BOUNDARIES = 60
"""More changing requests than any of these applies makes."""
ONE_BY_ONE = ("--parallelism", "1")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with open_world(tmp_path_factory.mktemp("crash")) as made:
        yield made


def kill_everywhere(
    world: World,
    command: tuple[str, ...],
    prepare: Callable[[int], None],
    check: Callable[[list[str]], None],
    *,
    again: bool = False,
) -> list[str]:
    """The requests at which it was killed. `prepare(n)` sets the stage for the nth trial, `check` looks afterwards.

    With `again` the command is run until nothing is left to do, and killed in any of its runs.
    """
    trial = 0
    deaths: list[str] = []
    for before in (True, False):
        for nth in range(1, BOUNDARIES):
            trial += 1
            prepare(trial)
            ended, requests = world.killed(nth, *command, before=before, again=again)
            assert ended.code in (0, KILLED), ended.told
            check(requests)
            if ended.code == 0:
                assert len(requests) < nth, "it outlived its death"
                break
            deaths.append(requests[nth - 1])
        else:
            raise AssertionError("the applies went on beyond the last boundary")
    return deaths


def test_killed_anywhere_in_a_first_apply(world: World) -> None:
    write_experiment(world.root, "bot")
    world.use_fleet("undisturbed")
    with training(world):
        assert world.settled().code == 0
    wanted = world.live("undisturbed")
    fleet = ""

    def prepare(trial: int) -> None:
        nonlocal fleet
        fleet = f"first{trial}"
        world.use_fleet(fleet)

    def check(requests: list[str]) -> None:
        with training(world):
            ended = world.settled()
        assert ended.code == 0, (requests, ended.told)
        assert world.live(fleet) == wanted, requests

    deaths = kill_everywhere(world, ("apply", *ONE_BY_ONE), prepare, check)

    for call in ("/customJobs", "/endpoints?", "lease.json"):
        assert any(call in death for death in deaths), (call, deaths)


def test_the_claim_of_a_dead_apply_lapses_by_itself(world: World) -> None:
    """The one that waits: elsewhere here claims are made old."""
    write_experiment(world.root, "bot")
    for nth in range(1, BOUNDARIES):
        fleet = f"lapsed{nth}"
        world.use_fleet(fleet)
        ended, _ = world.killed(nth, "apply", *ONE_BY_ONE, before=False)
        assert ended.code == KILLED
        if "claimed" in world.loraform("apply").told:
            break
    else:
        raise AssertionError("no death left a claim alone")

    with training(world):
        healed = world.loraform("apply", "--wait")

    assert healed.code == 0, healed.told
    assert len(world.live(fleet)["jobs"]) == 1


def test_killed_anywhere_in_an_update_in_place(world: World) -> None:
    world.use_fleet("updated")
    write_experiment(world.root, "bot", serving={"max_replica_count": 1})
    with training(world):
        assert world.settled().code == 0
    world.forget_calls()
    jobs = world.created()
    wanted = 1

    def prepare(trial: int) -> None:
        nonlocal wanted
        wanted = 1 + trial % 2
        write_experiment(world.root, "bot", serving={"max_replica_count": wanted})

    def check(requests: list[str]) -> None:
        ended = world.settled()
        assert ended.code == 0, (requests, ended.told)
        ((_, split, deployed),) = world.live("updated")["endpoints"]
        assert (split, [count for _, count in deployed]) == ([100], [wanted]), requests
        assert "in sync" in ended.told, ended.told

    deaths = kill_everywhere(world, ("apply", *ONE_BY_ONE), prepare, check)

    assert any(":mutateDeployedModel" in death for death in deaths), deaths
    assert world.created() == jobs


def test_killed_anywhere_in_a_roll_out(world: World) -> None:
    world.use_fleet("rolled")
    write_experiment(world.root, "bot")
    with training(world):
        assert world.settled().code == 0
    jobs = world.created()
    versions = 1

    def prepare(trial: int) -> None:
        write_experiment(world.root, "bot", serving={"engine": {"max_model_len": 512 + trial}})

    def check(requests: list[str]) -> None:
        nonlocal versions
        versions += 1
        ended = world.settled()
        assert ended.code == 0, (requests, ended.told)
        ((_, split, deployed),) = world.live("rolled")["endpoints"]
        assert (split, len(deployed)) == ([100], 1), requests
        assert "in sync" in ended.told, ended.told

    deaths = kill_everywhere(world, ("apply", *ONE_BY_ONE), prepare, check, again=True)

    for call in ("models:upload", ":deployModel", "updateMask=trafficSplit", ":undeployModel"):
        assert any(call in death for death in deaths), (call, deaths)
    assert world.created() == jobs


def test_killed_anywhere_in_a_removal(world: World) -> None:
    """What stays in git stays as it is; what comes back is served again and not trained again."""
    world.use_fleet("removed")
    write_experiment(world.root, "cat", adapter={"r": 2})
    write_experiment(world.root, "bot")
    with training(world):
        assert world.settled().code == 0
    jobs, both = world.created(), world.live("removed")

    def prepare(trial: int) -> None:
        write_experiment(world.root, "cat", adapter={"r": 2})
        assert world.settled().code == 0
        assert world.live("removed") == both
        (world.root / "experiments/cat.yaml").unlink()

    def check(requests: list[str]) -> None:
        ended = world.settled()
        assert ended.code == 0, (requests, ended.told)
        seen = world.live("removed")
        assert [name for name, _, _ in seen["endpoints"]] == ["lf-FLEET-bot"], requests
        assert seen["endpoints"][0] in both["endpoints"]
        assert seen["models"] == both["models"]

    deaths = kill_everywhere(world, ("apply", *ONE_BY_ONE), prepare, check, again=True)

    for call in (":undeployModel", "DELETE /v1/projects"):
        assert any(call in death for death in deaths), (call, deaths)
    assert world.created() == jobs
    (world.root / "experiments/cat.yaml").unlink(missing_ok=True)


def test_killed_amid_changes_that_go_side_by_side(world: World) -> None:
    for number in range(5):
        write_experiment(world.root, f"bot-{number}", adapter={"r": 8 + number})
    fleet = ""

    def prepare(trial: int) -> None:
        nonlocal fleet
        fleet = f"many{trial}"
        world.use_fleet(fleet)

    def check(requests: list[str]) -> None:
        with training(world):
            ended = world.settled("--allow-runs", "9")
        assert ended.code == 0, (requests, ended.told)
        seen = world.live(fleet)
        assert len({identity for identity, _ in seen["jobs"]}) == len(seen["jobs"]) == 6, requests
        assert [split for _, split, _ in seen["endpoints"]] == [[100]] * 6, requests

    for nth in (2, 5, 9, 14, 20):
        for before in (True, False):
            prepare(10 * nth + before)
            ended, requests = world.killed(nth, "apply", "--allow-runs", "9", before=before)
            assert ended.code == KILLED, ended.told
            check(requests)
