"""Which call of the API is looked for behind each kind of difference."""

from __future__ import annotations

import pytest

from reconciler.core.changes import FieldChange
from reconciler.core.culprits import Suspect, suspect
from reconciler.core.drift import Difference, Verdict
from reconciler.core.resources import Role
from tests.core.builders import at

ENDPOINT = "projects/1/locations/l/endpoints/lf-acme-bot"
TRAFFIC, REPLICAS = FieldChange("traffic", 40, 100, "route"), FieldChange("serving.max_replica_count", 5, 1, "in_place")


@pytest.mark.parametrize(
    ("difference", "expected"),
    [
        (Difference(at(Role.ENDPOINT), Verdict.PENDING, ENDPOINT), None),
        (
            Difference(at(Role.ENDPOINT), Verdict.DRIFTED, ENDPOINT),
            Suspect("endpoints/lf-acme-bot", ("UpdateEndpoint",)),
        ),
        (Difference(at(Role.ENDPOINT), Verdict.MISSING), Suspect("endpoints/lf-x", ("DeleteEndpoint",))),
        (
            Difference(at(Role.DEPLOYMENT), Verdict.MISSING),
            Suspect("endpoints/lf-x", ("UndeployModel", "DeleteEndpoint")),
        ),
        (
            Difference(at(Role.DEPLOYMENT), Verdict.DRIFTED, f"{ENDPOINT}#7", fields=(TRAFFIC,)),
            Suspect("endpoints/lf-acme-bot", ("UpdateEndpoint", "DeployModel", "UndeployModel")),
        ),
        (
            Difference(at(Role.DEPLOYMENT), Verdict.DRIFTED, f"{ENDPOINT}#7", fields=(REPLICAS,)),
            Suspect("endpoints/lf-acme-bot", ("MutateDeployedModel",)),
        ),
        (
            Difference(at(Role.MODEL), Verdict.DRIFTED, "projects/1/models/lf-acme-bot@2"),
            Suspect("models/lf-acme-bot", ("UpdateModel",)),
        ),
        (Difference(at(Role.MODEL), Verdict.MISSING), Suspect("models/lf-x", ("DeleteModel", "DeleteModelVersion"))),
    ],
)
def test_each_difference_has_its_calls(difference: Difference, expected: Suspect | None) -> None:
    assert suspect(difference, "lf-x") == expected
