from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from reconciler.core.errors import Diagnostic, Severity
from reconciler.core.resources import Source
from reconciler.repo.manifests import combined, load
from tests.repo.repository import GOOD, repository


def rules(diagnostics: tuple[Diagnostic, ...]) -> list[tuple[str, str]]:
    return [(str(item.source), item.rule) for item in diagnostics]


def test_a_good_repository_is_read_without_a_word(tmp_path: Path) -> None:
    root = repository(tmp_path / "r", b=GOOD.format(name="b"), a=GOOD.format(name="a"))

    loaded = load(root)

    assert loaded.diagnostics == ()
    assert [item.value.name for item in loaded.experiments] == ["a", "b"]
    assert loaded.experiments[0].source == Source("experiments/a.yaml", 1, 1)
    assert (loaded.project.fleet, loaded.target_name, loaded.target.kind) == ("acme", "local", "local")


def test_the_mistakes_of_all_files_are_reported_at_once(tmp_path: Path) -> None:
    bad = GOOD + "adapter: {{rr: 1}}\ntraining: {{max_seq_length: 5}}\n"
    root = repository(tmp_path / "r", a=bad.format(name="a"), b=bad.format(name="b"), c="x: [")
    (root / "loraform.yaml").write_text("fleet: acme\npolicy: {max_run: 1}\n")

    found = load(root).diagnostics

    assert rules(found) == [
        ("experiments/a.yaml:6:11", "unknown-key"),
        ("experiments/a.yaml:7:12", "dropped-name"),
        ("experiments/b.yaml:6:11", "unknown-key"),
        ("experiments/b.yaml:7:12", "dropped-name"),
        ("experiments/c.yaml:1:5", "yaml-syntax"),
        ("loraform.yaml:2:10", "unknown-key"),
    ]


def test_an_experiment_with_a_mistake_is_still_held_to_the_rules_between_its_other_fields(tmp_path: Path) -> None:
    text = GOOD.format(name="a") + "adapter: {r: many}\nserving: {min_replica_count: 3, max_replica_count: 1}\n"
    root = repository(tmp_path / "r", a=text)

    found = load(root).diagnostics

    assert [item.rule for item in found] == ["type", "replicas"]


def test_a_value_that_is_wrong_by_itself_is_not_reported_as_missing_too(tmp_path: Path) -> None:
    text = GOOD.format(name="a") + "run: {machine: {accelerator_type: NVIDIA_L5, accelerator_count: 1}}\n"
    root = repository(tmp_path / "r", a=text)

    found = load(root).diagnostics

    assert [item.rule for item in found] == ["value"]


def test_several_documents_of_a_file_are_manifests_of_their_own(tmp_path: Path) -> None:
    root = repository(tmp_path / "r", many=GOOD.format(name="a") + "---\n" + GOOD.format(name="b"))

    loaded = load(root)

    assert loaded.diagnostics == ()
    assert [str(item.source) for item in loaded.experiments] == [
        "experiments/many.yaml:1:1",
        "experiments/many.yaml:7:1",
    ]
    assert loaded.experiments[1].at("data", "eval") == Source("experiments/many.yaml", 11, 39)


def test_any_field_of_a_manifest_can_be_found_again(tmp_path: Path) -> None:
    root = repository(
        tmp_path / "r", a=GOOD.format(name="a") + "adapter:\n  r: 16\n  target_modules: [q_proj, v_proj]\n"
    )

    placed = load(root).experiments[0]

    assert placed.locate("adapter.r") == Source("experiments/a.yaml", 7, 6)
    assert placed.at("adapter", "r", key=True) == Source("experiments/a.yaml", 7, 3)
    assert placed.at("adapter", "target_modules", 1) == Source("experiments/a.yaml", 8, 28)
    assert placed.locate("adapter.lora_alpha") == Source("experiments/a.yaml", 6, 1)
    assert placed.locate("") == placed.source


def test_what_was_read_survives_pickling(tmp_path: Path) -> None:
    root = repository(tmp_path / "r", a=GOOD.format(name="a"))
    loaded = load(root)

    again = pickle.loads(pickle.dumps(loaded))

    assert again == loaded


def test_defaults_of_the_project_are_merged_under_every_experiment(tmp_path: Path) -> None:
    own = GOOD + "training: {{seed: 7}}\n"
    root = repository(tmp_path / "r", a=own.format(name="a"), b=GOOD.format(name="b"))
    (root / "loraform.yaml").write_text("fleet: acme\ndefaults:\n  training: {seed: 1, learning_rate: 2e-4}\n")

    first, second = (item.value for item in load(root).experiments)

    assert dict(first.training) == {"seed": 7, "learning_rate": 2e-4}
    assert dict(second.training) == {"seed": 1, "learning_rate": 2e-4}


def test_a_mistake_in_the_defaults_is_reported_once_where_it_stands(tmp_path: Path) -> None:
    root = repository(tmp_path / "r", a=GOOD.format(name="a"), b=GOOD.format(name="b"))
    (root / "loraform.yaml").write_text("fleet: acme\ndefaults:\n  training: {seeds: 1}\n")

    found = load(root).diagnostics

    assert rules(found) == [("loraform.yaml:3:14", "unknown-key")]


CLOUD = "fleet: acme\ntargets:\n  prod: {project: acme-ml, region: europe-west4, bucket: acme-llm}\n"
UNPINNED = "apiVersion: loraform/v1\nkind: Experiment\nname: a\nmodel: {base: org/name}\ndata: {train: 'gs://acme/train.jsonl'}\n"


@pytest.mark.parametrize(
    ("target", "policy", "severity"),
    [
        ("local", "", Severity.WARNING),
        ("prod", "", Severity.ERROR),
        ("prod", "policy: {require_pins: false}\n", Severity.WARNING),
        ("local", "policy: {require_pins: true}\n", Severity.ERROR),
    ],
)
def test_what_is_not_pinned_is_an_error_where_the_policy_says_so(
    tmp_path: Path, target: str, policy: str, severity: Severity
) -> None:
    root = repository(tmp_path / "r", a=UNPINNED)
    (root / "loraform.yaml").write_text(CLOUD + policy)

    found = [item for item in load(root, target).diagnostics if item.source.path == "experiments/a.yaml"]

    assert [(item.rule, item.severity) for item in found] == [("unpinned", severity)] * 2


def test_a_cloud_target_wants_images_by_digest(tmp_path: Path) -> None:
    root = repository(tmp_path / "r", a=GOOD.format(name="a"))
    digest = "x-docker.pkg.dev/p/r/train@sha256:" + "0" * 64
    (root / "loraform.yaml").write_text(CLOUD + f"images: {{train: '{digest}'}}\n")

    found = load(root, "prod").diagnostics

    assert [(item.rule, "serve image" in item.message) for item in found] == [("unpinned", True)]


def test_a_target_that_is_asked_for_must_be_there(tmp_path: Path) -> None:
    root = repository(tmp_path / "r", a=GOOD.format(name="a"))

    loaded = load(root, "prod")

    assert [item.rule for item in loaded.errors] == ["unknown-target"]
    assert loaded.target_name == "local"


def test_without_a_project_file_the_manifests_are_read_all_the_same(tmp_path: Path) -> None:
    root = repository(tmp_path / "r", a=GOOD.format(name="a"))
    (root / "loraform.yaml").unlink()

    loaded = load(root)

    assert [item.rule for item in loaded.errors] == ["no-project"]
    assert len(loaded.experiments) == 1


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    root = repository(tmp_path / "r", a="# " + "x" * 1_000_000)

    found = load(root).diagnostics

    assert rules(found) == [("experiments/a.yaml:1:1", "huge-file")]


def test_a_manifest_behind_a_link_out_of_the_repository_is_not_read(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    (tmp_path / "outside/a.yaml").write_text(GOOD.format(name="a"))
    (root / "experiments/a.yaml").symlink_to(tmp_path / "outside/a.yaml")
    (root / "experiments/broken.yaml").symlink_to("nowhere.yaml")

    loaded = load(root)

    assert rules(loaded.diagnostics) == [
        ("experiments/a.yaml", "path-outside"),
        ("experiments/broken.yaml", "unreadable"),
    ]
    assert loaded.experiments == ()


def test_manifests_are_found_at_any_depth_and_a_yml_file_is_pointed_out(tmp_path: Path) -> None:
    root = repository(tmp_path / "r", a=GOOD.format(name="a"))
    (root / "experiments/team/deep").mkdir(parents=True)
    (root / "experiments/team/deep/b.yaml").write_text(GOOD.format(name="b"))
    (root / "experiments/c.yml").write_text(GOOD.format(name="c"))

    loaded = load(root)

    assert [item.value.name for item in loaded.experiments] == ["a", "b"]
    assert [(str(item.source), item.rule, item.severity) for item in loaded.diagnostics] == [
        ("experiments/c.yml", "ignored-file", Severity.WARNING)
    ]


def test_two_experiments_of_one_name_in_two_files_name_each_other(tmp_path: Path) -> None:
    root = repository(tmp_path / "r", a=GOOD.format(name="x"), b=GOOD.format(name="x"))

    (found,) = load(root).diagnostics

    assert (str(found.source), found.rule) == ("experiments/b.yaml:3:7", "duplicate-name")
    assert "experiments/a.yaml:3:7" in found.message


def test_where_two_checks_say_the_same_the_first_one_does() -> None:
    place = Source("a.yaml", 1, 2)
    mine, more = Diagnostic(place, "unpinned", "mine"), Diagnostic(place, "unpinned", "more of mine")
    theirs, other = Diagnostic(place, "unpinned", "theirs"), Diagnostic(Source("a.yaml", 1, 1), "type", "other")

    assert combined([mine, more], [theirs, other]) == (other, mine, more)


def test_an_empty_repository_of_manifests_is_no_mistake(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")

    loaded = load(root)

    assert (loaded.experiments, loaded.diagnostics) == ((), ())
