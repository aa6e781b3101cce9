"""Connections that break around a create: before it was read, and after it took effect."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from reconciler.cloud.claims import LOCAL_TTL
from reconciler.cloud.clock import Clock
from reconciler.cloud.site import Site, open_site
from reconciler.core.changes import Action
from tests.cloud.proxy import Lossy, running_proxy
from tests.cloud.story import actions, already_trained, apply, endpoints, jobs, messages, models, outcomes, settle
from tests.cloud.wishes import training, whole

HASTY = Clock(sleep=lambda seconds: time.sleep(min(seconds, 0.05)))


@contextmanager
def behind(site: Site, lossy: Lossy) -> Iterator[Site]:
    """The same site, seen over a bad line."""
    with running_proxy(str(site.target.api_endpoint), lossy) as url:
        yield open_site(replace(site.target, api_endpoint=url), site.root, HASTY)


def test_a_job_whose_creation_was_not_answered_is_found_and_not_sent_again(site: Site) -> None:
    run = training(site.target)
    lossy = Lossy("POST /v1/projects/acme/locations/europe-west4/customJobs", after=True)

    with behind(site, lossy) as bad:
        seen = apply(bad, [run])

    assert lossy.broke == 1
    assert outcomes(seen) == {"training create": "done"}
    assert len(jobs(site)) == 1


def test_a_job_that_may_or_may_not_exist_is_left_alone_until_its_claim_has_lapsed(
    site: Site, later: Callable[[float], Site]
) -> None:
    run = training(site.target)
    lossy = Lossy("POST /v1/projects/acme/locations/europe-west4/customJobs", after=False)

    with behind(site, lossy) as bad:
        first = apply(bad, [run])
        second = apply(bad, [run])
    third = apply(later(LOCAL_TTL + 1), [run])

    assert outcomes(first) == {"training create": "waiting"}
    assert "its claim keeps others away" in messages(first)
    assert actions(second) == {"training": Action.WAIT}
    assert outcomes(third) == {"training create": "done"}
    assert len(jobs(site)) == 1


def test_a_model_whose_upload_was_not_answered_is_not_uploaded_twice(site: Site) -> None:
    desired = whole(site.target)
    already_trained(site, desired[0])
    lossy = Lossy("POST /v1/projects/acme/locations/europe-west4/models:upload", after=True)

    with behind(site, lossy) as bad:
        last = settle(bad, desired)

    assert lossy.broke == 1
    assert set(actions(last).values()) == {Action.NOOP}, messages(last)
    assert [model["version_id"] for model in models(site)] == ["1"]


def test_a_deploy_whose_start_was_not_answered_is_not_started_twice(site: Site) -> None:
    desired = whole(site.target)
    already_trained(site, desired[0])
    name = f"lf-{site.target.fleet}-bot"
    endpoint = "POST /v1/projects/"

    with behind(site, LossyDeploy(endpoint, after=True)) as bad:
        last = settle(bad, desired)

    assert set(actions(last).values()) == {Action.NOOP}, messages(last)
    (found,) = endpoints(site)
    assert str(found["name"]).endswith(name)
    assert len(list(found["deployed_models"])) == 1


def test_a_claim_whose_writing_was_not_answered_is_still_ours(site: Site) -> None:
    run = training(site.target)
    lossy = Lossy("POST /upload/storage", after=True)

    with behind(site, lossy) as bad:
        seen = apply(bad, [run])

    assert lossy.broke == 1
    assert outcomes(seen) == {"training create": "done"}


class LossyDeploy(Lossy):
    """Loses the answer of the first deploy, whatever its endpoint is called."""

    def answers(self, line: str) -> bool:
        return super().answers(line) if ":deployModel" in line else True
