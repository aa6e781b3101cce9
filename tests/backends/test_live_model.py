from __future__ import annotations

from reconciler.backends.registry import KINDS
from reconciler.core.resources import Address, Phase, Role
from tests.backends.payload import payload

LIVE = KINDS["model"].live


def test_a_model_version_is_found_by_its_alias() -> None:
    (model,) = LIVE(payload("model-ready"), "acme")

    assert (model.address, model.stamp, model.phase) == (
        Address("support-bot", Role.MODEL),
        "9d20e4c7a1b85f3367ce",
        Phase.READY,
    )


def test_a_model_version_is_named_with_its_version_even_where_the_answer_is_not() -> None:
    listed = LIVE(payload("model-ready"), "acme")
    got = LIVE(payload("model-ready-older"), "acme")

    names = [item.outputs["version_name"] for item in (*listed, *got)]

    prefix = "projects/580378083368/locations/europe-west4/models/lf-acme-support-bot"
    assert names == [f"{prefix}@2", f"{prefix}@1"]


def test_a_version_whose_alias_was_moved_falls_back_on_its_label() -> None:
    (model,) = LIVE(payload("model-ready-alias-lost"), "acme")

    assert model.stamp == "9d20e4c7a1b85f3367ce"


def test_registered_versions_are_history() -> None:
    (model,) = LIVE(payload("model-ready-older"), "acme")

    assert model.history


def test_a_model_tells_its_verdict_and_the_training_behind_it() -> None:
    (model,) = LIVE(payload("model-ready"), "acme")

    assert (model.outputs["gate"], model.outputs["trained_by"]) == ("passed-0a1b2c3d4e5f", "4f1c2a9b7d3e6f805142")


def test_only_labels_that_are_not_ours_are_compared() -> None:
    (model,) = LIVE(payload("model-ready"), "acme")

    assert model.spec == {"labels": {"team": "support"}}


def test_a_model_of_another_fleet_is_invisible() -> None:
    assert LIVE(payload("model-ready"), "other") == ()
