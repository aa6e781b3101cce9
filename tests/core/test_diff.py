from reconciler.core.changes import FieldChange
from reconciler.core.diff import declared_changes, explain, setting_changes
from reconciler.core.resources import Declared
from tests.core.builders import deployment, live, training


def test_a_plain_pair_is_its_own_explanation() -> None:
    assert list(explain("adapter.r", 8, 16)) == [("adapter.r", 8, 16)]


def test_a_list_is_explained_by_what_came_and_went() -> None:
    parts = list(explain("adapter.target_modules", ["q_proj", "v_proj"], ["q_proj", "o_proj", "k_proj"]))

    assert parts == [("adapter.target_modules[1]", "v_proj", "o_proj"), ("adapter.target_modules[2]", None, "k_proj")]


def test_a_mapping_is_explained_by_its_smallest_parts() -> None:
    parts = list(explain("run.env", {"A": "1", "B": {"C": 1}, "a b": 1}, {"B": {"C": 2}, "a b": 2}))

    assert parts == [("run.env.A", "1", None), ("run.env.B.C", 1, 2), ("run.env['a b']", 1, 2)]


def test_a_mapping_in_a_list_is_named_by_its_place() -> None:
    parts = list(explain("evaluation.gate", [{"expr": "a > 1"}], [{"expr": "a > 2"}]))

    assert parts == [("evaluation.gate[0].expr", "a > 1", "a > 2")]


def test_a_field_that_was_left_out_before_was_at_its_default() -> None:
    resource = training(fields={"adapter.r": Declared(16, "retrain", 8), "training.seed": Declared(42, "retrain", 42)})

    assert declared_changes(resource, {}) == (FieldChange("adapter.r", 8, 16, "retrain"),)


def test_declared_fields_are_compared_by_value_and_carry_their_effect() -> None:
    resource = training(fields={"adapter.r": Declared(16, "retrain"), "training.seed": Declared(1.0, "retrain")})

    found = declared_changes(resource, {"adapter.r": 8, "training.seed": 1, "training.optim": "adamw"})

    assert found == (FieldChange("adapter.r", 8, 16, "retrain"), FieldChange("training.optim", "adamw", None, ""))


def test_a_setting_is_compared_by_its_json_whatever_its_type_here() -> None:
    resource = deployment(spec={"same": 3, "list": [1, 2], "true": True})
    found = live(deployment(), spec={"same": 3.0, "list": (1, 2), "true": 1})

    assert [change.path for change in setting_changes(resource, found)] == ["true"]
