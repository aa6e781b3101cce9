import math

import pytest

from reconciler.core.identity import canonical, deployed_id, identity_of


def test_the_identity_of_known_fields_never_moves() -> None:
    fields = {"adapter.r": 16, "model.base": "gs://b/llama", "training.learning_rate": 2e-4}

    found = identity_of("training", fields)

    assert found == "0f14287154e4de6ba160fb27bf8aee6396c84b72081c8f9084a2c68520bbaf61"


def test_the_identity_of_a_child_moves_with_its_parents() -> None:
    found = identity_of("model", {"image": "serve:1"}, parents=["b" * 64, "a" * 64])

    assert found == "83e647311c6cca923b13a9be813d6e3e07815b091aaf55725c6bfd182823cdb5"


def test_the_order_of_fields_and_parents_does_not_matter() -> None:
    one = identity_of("model", {"a": 1, "b": {"c": 2, "d": 3}}, parents=["x", "y"])
    other = identity_of("model", {"b": {"d": 3, "c": 2}, "a": 1}, parents=["y", "x"])

    assert one == other


def test_another_kind_or_value_is_another_identity() -> None:
    first = identity_of("model", {"a": 1})

    assert (
        len({first, identity_of("training", {"a": 1}), identity_of("model", {"a": 2}), identity_of("model", {})}) == 4
    )


def test_a_whole_float_is_the_same_as_its_integer() -> None:
    assert canonical({"epochs": 3.0, "rate": 0.5}) == '{"epochs":3,"rate":0.5}'


def test_true_is_not_one() -> None:
    assert canonical(True) != canonical(1)


def test_text_beyond_ascii_is_kept() -> None:
    assert canonical(("é", None)) == '["é",null]'


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_json_cannot_say_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical(value)


def test_a_deployed_id_has_ten_digits_and_follows_from_endpoint_and_identity() -> None:
    ids = {deployed_id("lf-acme-bot", f"{n:064x}") for n in range(200)}

    assert len(ids) == 200
    assert all(len(number) == 10 and number.isdigit() and number[0] != "0" for number in ids)
    assert deployed_id("lf-acme-bot", "a" * 64) == "4034782357"
