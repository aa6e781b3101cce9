from __future__ import annotations

import threading
import time
from dataclasses import replace

from reconciler.cloud import claims
from reconciler.cloud.site import Site
from reconciler.core.resources import Cause, Claim, Failure, Refusal, Role
from tests.cloud.wishes import address, training, whole
from tests.core.builders import live

NOW = 1_763_600_000.0


def listed(site: Site) -> dict[str, Claim]:
    return claims.claims_in(site.storage.list(claims.folder_of(site.target)))


def test_a_claim_is_read_back_from_one_listing(site: Site) -> None:
    run = training(site.target)

    taken = claims.take(site.storage, site.target, run, "me", now=NOW + 0.7)

    assert taken is not None
    assert listed(site) == {
        run.stamp: Claim(run.stamp, address(Role.TRAINING), NOW, "me", run.attempt_key, taken.generation)
    }


def test_anothers_young_claim_forbids_the_create(site: Site) -> None:
    run = training(site.target)
    claims.take(site.storage, site.target, run, "me", now=NOW)

    assert claims.take(site.storage, site.target, run, "you", now=NOW + claims.LOCAL_TTL - 1) is None


def test_anothers_young_claim_is_no_obstacle_where_a_second_create_collides(site: Site) -> None:
    named = replace(training(site.target), collides=True)
    claims.take(site.storage, site.target, named, "me", now=NOW)

    assert claims.take(site.storage, site.target, named, "you", now=NOW + 1) is not None


def test_anothers_old_claim_is_taken_over(site: Site) -> None:
    run = training(site.target)
    claims.take(site.storage, site.target, run, "me", now=NOW)

    taken = claims.take(site.storage, site.target, run, "you", now=NOW + claims.LOCAL_TTL + 1)

    assert taken is not None
    assert listed(site)[run.stamp].by == "you"


def test_ones_own_young_claim_does_not_stand_in_the_way(site: Site) -> None:
    run = training(site.target)
    claims.take(site.storage, site.target, run, "me", now=NOW)

    assert claims.take(site.storage, site.target, run, "me", now=NOW + 1) is not None


def test_a_claim_whose_object_has_been_seen_has_done_its_work(site: Site) -> None:
    run = training(site.target)
    claims.take(site.storage, site.target, run, "me", now=NOW)

    assert claims.take(site.storage, site.target, run, "you", now=NOW + 5, seen=NOW + 1) is not None


def test_of_many_threads_that_claim_one_identity_exactly_one_wins(site: Site) -> None:
    run = training(site.target)
    barrier = threading.Barrier(6)
    winners: list[str] = []

    def claim(name: str) -> None:
        barrier.wait()
        if claims.take(site.storage, site.target, run, name, now=time.time()):
            winners.append(name)

    threads = [threading.Thread(target=claim, args=(f"racer-{number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(winners) == 1
    assert listed(site)[run.stamp].by == winners[0]


def test_of_many_threads_that_take_over_an_old_claim_exactly_one_wins(site: Site) -> None:
    run = training(site.target)
    claims.take(site.storage, site.target, run, "dead", now=NOW - 3600)
    barrier = threading.Barrier(6)
    winners: list[str] = []

    def claim(name: str) -> None:
        barrier.wait()
        if claims.take(site.storage, site.target, run, name, now=NOW):
            winners.append(name)

    threads = [threading.Thread(target=claim, args=(f"racer-{number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(winners) == 1


def test_a_fresh_claim_that_is_taken_back_leaves_nothing(site: Site) -> None:
    run = training(site.target)
    taken = claims.take(site.storage, site.target, run, "me", now=NOW)
    assert taken is not None

    claims.release(site.storage, taken)

    assert listed(site) == {}


def test_a_retried_claim_that_is_taken_back_is_as_old_as_before(site: Site) -> None:
    run = training(site.target)
    claims.take(site.storage, site.target, run, "me", now=NOW - 3600)
    taken = claims.take(site.storage, site.target, run, "you", now=NOW)
    assert taken is not None

    claims.release(site.storage, taken)

    assert listed(site)[run.stamp].at == NOW - 3600


def test_a_claim_remembers_the_operations_of_its_attempt_only(site: Site) -> None:
    first, second = training(site.target, attempt=1), training(site.target, attempt=2)
    taken = claims.take(site.storage, site.target, first, "me", now=NOW)
    assert taken is not None
    claims.add_operation(site.storage, taken, "operations/1")
    taken = claims.take(site.storage, site.target, second, "me", now=NOW)
    assert taken is not None
    claims.add_operation(site.storage, taken, "operations/2")

    listing = site.storage.list(claims.folder_of(site.target))

    assert claims.operations_in(listing) == {"operations/2": second.stamp}
    assert claims.past_in(listing) == {"operations/1"}


def test_a_claim_keeps_the_declared_fields(site: Site) -> None:
    run = training(site.target, r=16)
    claims.take(site.storage, site.target, run, "me", now=NOW)

    (found,) = site.storage.list(claims.folder_of(site.target))

    assert claims.declared_in(site.storage, found) == {"adapter.r": 16}


def test_an_update_writes_down_what_is_declared_and_makes_the_claim_no_younger(site: Site) -> None:
    run = training(site.target)
    claims.take(site.storage, site.target, run, "me", now=NOW)

    claims.declare(site.storage, site.target, run, "you", now=NOW + 500)

    assert listed(site)[run.stamp].at == NOW


def test_equal_things_of_two_experiments_have_claims_of_their_own(site: Site) -> None:
    one = whole(site.target)[1]
    other = replace(one, address=address(Role.MODEL, "bee"))
    claims.take(site.storage, site.target, one, "me", now=NOW)
    assert claims.take(site.storage, site.target, other, "you", now=NOW + 1) is not None

    claims.drop(site.storage, site.target, live(other))

    assert {claim.address for claim in listed(site).values()} == {one.address}


def test_equal_runs_share_one_claim_which_remembers_whose_attempts_were_refused(site: Site) -> None:
    one = training(site.target)
    other = replace(one, address=address(Role.TRAINING, "bee"), attempt_key="second")
    failure = Failure(Cause.ERROR, "no")
    taken = claims.take(site.storage, site.target, one, "me", now=NOW)
    assert taken is not None
    claims.refuse(site.storage, taken, Refusal(NOW, failure))

    again = claims.take(site.storage, site.target, other, "me", now=NOW + 1)
    assert again is not None
    claims.refuse(site.storage, again, Refusal(NOW + 1, failure))

    (known,) = listed(site).values()
    assert [item.attempt_key for item in known.refusals] == [one.attempt_key, "second"]


def test_dropping_a_claim_leaves_others(site: Site) -> None:
    run, other = training(site.target, r=1), training(site.target, r=2)
    claims.take(site.storage, site.target, run, "me", now=NOW)
    claims.take(site.storage, site.target, other, "me", now=NOW)

    claims.drop(site.storage, site.target, live(run))

    assert set(listed(site)) == {other.stamp}


def test_an_object_that_is_no_claim_is_overwritten_without_a_fuss(site: Site) -> None:
    run = training(site.target)
    site.storage.write(f"loraform/{site.target.fleet}/claims/{run.identity}.json", b"not json")

    assert listed(site) == {}
    assert claims.take(site.storage, site.target, run, "me", now=NOW) is not None
