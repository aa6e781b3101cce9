"""Two real commands at once, interleaved at each boundary: one stands still after its nth changing request, the other
does all that it can, then both go on. One job of each identity, and the end is what the later commit wants.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import write_experiment
from tests.cli.crash_world import Free, World, open_world, training
from tests.cloud.proxy import running_proxy

pytestmark = pytest.mark.heavy
BOUNDARIES = 40
REFUSED = 3


class Halt:
    """Holds back the answer to the nth changing request, and all that comes after it, until it is told to go on."""

    def __init__(self, nth: int) -> None:
        self.reached = threading.Event()
        self.go_on = threading.Event()
        self._nth = nth
        self._seen = 0
        self._chosen: int | None = None
        self._lock = threading.Lock()

    def passes(self, line: str) -> bool:
        with self._lock:
            self._seen += not line.startswith("GET ")
            if self._seen == self._nth and self._chosen is None:
                self._chosen = threading.get_ident()
            halted = self.reached.is_set()
        if halted:
            self.go_on.wait(60)
        return True

    def answers(self, line: str) -> bool:
        if self._chosen == threading.get_ident():
            self.reached.set()
            self.go_on.wait(60)
        return True


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with open_world(tmp_path_factory.mktemp("two")) as made:
        yield made


def interleave(world: World, nth: int, other: World) -> tuple[bool, list[str]]:
    """Both apply; the first stands still after its nth changing request until the other waits or is done.

    Whether the boundary was reached, and what both printed.
    """
    halt = Halt(nth)
    world.switch.judge = halt
    one, two = world.start("apply", "--parallelism", "1"), other.start("apply", "--parallelism", "1")
    ends: list[str] = []

    def run_one() -> None:
        ended = one.end()
        ends.append(f"one {ended.code}: {ended.told}")
        assert ended.code in (0, REFUSED), ended.told

    first = threading.Thread(target=run_one)
    first.start()
    while first.is_alive() and not halt.reached.wait(0.02):
        pass
    reached = halt.reached.is_set()
    two.go.set()
    two.process.join(1.0)  # the lease may keep it waiting: it waits longer than this
    halt.go_on.set()
    ended = two.end()
    ends.append(f"two {ended.code}: {ended.told}")
    first.join()
    world.switch.judge = Free()
    assert ended.code in (0, REFUSED), ended.told
    return reached, ends


def clone_of(world: World, root: Path, proxy: str) -> World:
    """Another clone that applies to the same embedded Vertex AI by a way of its own."""
    return World(root, world.url, proxy, world.switch)


@pytest.mark.parametrize("later", [False, True], ids=["of the same commit", "of another commit"])
def test_of_two_applies_at_once_each_job_is_started_once(world: World, tmp_path: Path, later: bool) -> None:
    with running_proxy(world.url, Free()) as way:
        other = clone_of(world, tmp_path, way)
        for nth in range(1, BOUNDARIES):
            fleet = f"{'l' if later else 's'}{nth}"
            for place in (world, other):
                place.use_fleet(fleet)
                write_experiment(place.root, "bot")
            if later:
                write_experiment(other.root, "bot", serving={"max_replica_count": 3})
                write_experiment(other.root, "cat", adapter={"r": 2})
            reached, told = interleave(world, nth, other)

            with training(world):
                ended = other.settled()

            assert ended.code == 0, (told, ended.told)
            seen = world.live(fleet)
            identities = [identity for identity, _ in seen["jobs"]]
            assert len(identities) == len(set(identities)) == 1 + later, told
            assert [split for _, split, _ in seen["endpoints"]] == [[100]] * (1 + later), told
            assert [count for _, _, ((_, count),) in seen["endpoints"]] == ([3, 1] if later else [1]), told
            if not reached:
                break
        else:
            raise AssertionError("the applies went on beyond the last boundary")
    assert nth > 5
