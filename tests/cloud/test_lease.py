from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import replace

import pytest

from reconciler.cloud.holder import Holder, is_dead_here, this_process
from reconciler.cloud.lease import Lease, acquire, current, unlock
from reconciler.cloud.site import Site
from reconciler.core.errors import Refused
from tests.cloud.fake_clock import Hand


def leave_behind(site: Site, holder: Holder) -> None:
    """A lease as an apply leaves it that was killed."""
    content = f'{{"holder": "{holder}", "since": 0.0}}'.encode()
    site.storage.write(f"loraform/{site.target.fleet}/lease.json", content)


def test_a_lease_is_there_while_it_is_held_and_gone_after(site: Site) -> None:
    with acquire(site.storage, site.target) as lease:
        during = current(site.storage, site.target)

    assert during is not None
    assert during.holder == str(lease.holder)
    assert current(site.storage, site.target) is None


def test_a_second_apply_is_refused_with_the_name_of_the_first(site: Site) -> None:
    with (
        acquire(site.storage, site.target) as lease,
        pytest.raises(Refused, match=r"is applying to local") as caught,
    ):
        acquire(site.storage, site.target, patience=0.0)

    assert str(lease.holder) in caught.value.message
    assert f"loraform unlock {lease.holder}" in caught.value.remedy


def test_a_living_holder_is_not_taken_over_however_long_one_waits(site: Site) -> None:
    with acquire(site.storage, site.target, ttl=0.6), pytest.raises(Refused):
        acquire(site.storage, site.target, ttl=0.6, patience=2.0)

    lease_lost = current(site.storage, site.target)
    assert lease_lost is None


def test_of_many_threads_that_want_the_lease_exactly_one_gets_it(site: Site) -> None:
    barrier = threading.Barrier(5)
    leases: list[Lease] = []
    refused: list[Refused] = []

    def want() -> None:
        barrier.wait()
        try:
            leases.append(acquire(site.storage, site.target, patience=0.0))
        except Refused as error:
            refused.append(error)

    threads = [threading.Thread(target=want) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (len(leases), len(refused)) == (1, 4)
    leases[0].release()


def test_a_holder_that_stood_still_for_its_time_to_live_is_taken_over(site: Site) -> None:
    leave_behind(site, Holder("somebody", "another-host", 1, "00"))
    hand = Hand()

    lease = acquire(site.storage, site.target, hand.clock, ttl=60.0)
    lease.release()

    assert 60.0 <= sum(hand.slept) < 70.0


def test_a_takeover_waits_on_the_takers_clock_whatever_the_lease_says(site: Site) -> None:
    leave_behind(site, Holder("somebody", "another-host", 1, "00"))
    hand = Hand(at=9e12)

    with pytest.raises(Refused):
        acquire(site.storage, site.target, hand.clock, ttl=60.0, patience=30.0)


def test_a_dead_process_of_this_host_is_taken_over_at_once_on_the_local_target(site: Site) -> None:
    leave_behind(site, dead_holder())
    hand = Hand()

    lease = acquire(site.storage, site.target, hand.clock, ttl=60.0)
    lease.release()

    assert hand.slept == []


def test_elsewhere_a_dead_process_is_waited_for_all_the_same(site: Site) -> None:
    leave_behind(site, dead_holder())
    hand = Hand()

    with pytest.raises(Refused):
        acquire(site.storage, replace(site.target, local=False), hand.clock, ttl=60.0, patience=30.0)


def test_of_two_takers_of_a_dead_lease_one_wins(site: Site) -> None:
    leave_behind(site, dead_holder())
    barrier = threading.Barrier(2)
    outcomes: list[str] = []
    leases: list[Lease] = []

    def want() -> None:
        barrier.wait()
        try:
            leases.append(acquire(site.storage, site.target, patience=0.0))
            outcomes.append("won")
        except Refused:
            outcomes.append("refused")

    threads = [threading.Thread(target=want) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == ["refused", "won"]
    leases[0].release()


def test_a_lease_that_was_taken_over_stops_its_old_holder(site: Site) -> None:
    lease = acquire(site.storage, site.target, ttl=60.0)
    site.storage.write(f"loraform/{site.target.fleet}/lease.json", b'{"holder": "thief", "since": 1}')

    lease.renew()

    with pytest.raises(Refused, match="the lease was lost"):
        lease.check()


def test_an_old_holder_does_not_release_the_lease_of_the_new_one(site: Site) -> None:
    lease = acquire(site.storage, site.target, ttl=60.0)
    site.storage.write(f"loraform/{site.target.fleet}/lease.json", b'{"holder": "thief", "since": 1}')

    lease.release()

    found = current(site.storage, site.target)
    assert found is not None
    assert found.holder == "thief"


def test_a_holder_whose_last_renewal_is_too_old_stops_by_itself(site: Site) -> None:
    hand = Hand()
    lease = acquire(site.storage, site.target, hand.clock, ttl=60.0)
    lease.check()
    hand.at += 41.0

    with pytest.raises(Refused, match="not renewed for 41 s"):
        lease.check()

    lease.release()


def test_a_lease_is_renewed_in_the_background(site: Site) -> None:
    with acquire(site.storage, site.target, ttl=0.3):
        first = current(site.storage, site.target)
        threading.Event().wait(0.5)
        second = current(site.storage, site.target)

    assert first is not None
    assert second is not None
    assert second.generation != first.generation


def test_unlocking_needs_the_holders_name(site: Site) -> None:
    lease = acquire(site.storage, site.target, ttl=60.0)

    with pytest.raises(Refused, match="not by somebody-else"):
        unlock(site.storage, site.target, "somebody-else")
    unlock(site.storage, site.target, str(lease.holder))

    assert current(site.storage, site.target) is None
    lease.release()


def test_unlocking_what_is_not_locked_is_harmless(site: Site) -> None:
    unlock(site.storage, site.target, "anybody")


def test_an_interrupted_wait_for_the_lease_ends_at_once(site: Site) -> None:
    stop = threading.Event()
    stop.set()

    with acquire(site.storage, site.target), pytest.raises(Refused):
        acquire(site.storage, site.target, patience=60.0, stop=stop)


def test_this_very_process_is_alive() -> None:
    assert not is_dead_here(str(this_process()))


def test_of_another_host_nobody_can_tell() -> None:
    assert not is_dead_here("me@another-host/1/00")


def dead_holder() -> Holder:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return replace(this_process(), pid=child.pid)
