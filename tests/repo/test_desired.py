from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from reconciler.core.errors import Diagnostic, Severity
from reconciler.core.resources import Resource, Role, Source
from reconciler.repo.desired import desired
from reconciler.repo.files import Files
from reconciler.repo.inputs import is_hub_id
from reconciler.repo.manifests import load
from schemas.experiment import Experiment
from schemas.project import Project
from schemas.training_spec import TrainingSpec
from tests.backends.subjects import CLOUD, LOCAL, PLAIN, merged

HERE: dict[str, Any] = {
    "name": "bot",
    "model": {"base": "bases/tiny", "revision": None},
    "data": {"train": "data/train.jsonl", "eval": "data/eval.jsonl"},
}


def test_an_experiment_that_serves_has_five_resources_in_the_order_of_a_life(tmp_path: Path) -> None:
    repository(tmp_path)

    resources, diagnostics = wish(tmp_path)

    assert [item.address.role for item in resources] == [role for role in Role if role is not Role.MERGE]
    assert diagnostics == ()


def test_a_model_that_serves_merged_has_one_more_run_between_training_and_model(tmp_path: Path) -> None:
    repository(tmp_path)

    resources, diagnostics = wish(tmp_path, {"serving": {"form": "merged"}})

    assert [item.address.role for item in resources] == list(Role)
    assert diagnostics == ()


def test_what_the_repository_holds_is_uploaded_under_its_content_hash(tmp_path: Path) -> None:
    repository(tmp_path)

    (training, _, model, *_), _ = wish(tmp_path)

    folder = "gs://loraform-local/loraform/acme/data"
    places = {upload.path: upload.uri for upload in training.uploads}
    assert set(places) == {
        "bases/tiny/config.json",
        "bases/tiny/sub/weights.safetensors",
        "data/train.jsonl",
        "data/eval.jsonl",
    }
    assert all(uri.startswith(f"{folder}/") for uri in places.values())
    assert places["bases/tiny/sub/weights.safetensors"].endswith("/sub/weights.safetensors")
    assert all(len(upload.sha256) == 64 for upload in training.uploads)
    assert {upload.path.split("/")[0] for upload in model.uploads} == {"bases"}


def test_the_containers_read_what_was_uploaded(tmp_path: Path) -> None:
    repository(tmp_path)

    (training, *_), _ = wish(tmp_path)

    spec = spec_of(training)
    uris = {upload.uri for upload in training.uploads}
    assert {spec.data.train, spec.data.eval} <= uris
    assert f"{spec.model.base}/config.json" in uris


def test_moving_a_file_changes_nothing_and_editing_it_changes_the_training(tmp_path: Path) -> None:
    repository(tmp_path)
    (before, *_), _ = wish(tmp_path)

    (tmp_path / "data/train.jsonl").rename(tmp_path / "data/moved.jsonl")
    (moved, *_), _ = wish(tmp_path, {"data": {"train": "data/moved.jsonl"}})
    (tmp_path / "data/moved.jsonl").write_text('{"messages": [1]}\n')
    (edited, *_), _ = wish(tmp_path, {"data": {"train": "data/moved.jsonl"}})

    assert moved.identity == before.identity
    assert edited.identity != before.identity


def test_a_pattern_is_the_content_of_its_files(tmp_path: Path) -> None:
    repository(tmp_path)
    (tmp_path / "data/link.jsonl").unlink()
    (tmp_path / "data/more").mkdir()
    (tmp_path / "data/more/a.jsonl").write_text('{"messages": [1]}\n')
    (before, *_), problems = wish(tmp_path, {"data": {"train": "data/**/*.jsonl"}})

    (tmp_path / "data").rename(tmp_path / "rows")
    moved = {"data": {"train": "rows/**/*.jsonl", "eval": "rows/eval.jsonl"}}
    (after, *_), _ = wish(tmp_path, moved)
    (tmp_path / "rows/more/b.jsonl").write_text('{"messages": [2]}\n')
    (grown, *_), _ = wish(tmp_path, moved)

    assert problems == ()
    assert after.identity == before.identity != grown.identity
    folder = spec_of(before).data.train.removesuffix("/**/*")
    assert {f"{folder}/{name}" for name in ("train.jsonl", "more/a.jsonl")} <= {item.uri for item in before.uploads}


@pytest.mark.parametrize(
    ("pattern", "said"), [("data/*.csv", "no file matches"), ("data/a**", "no pattern"), ("data/*.jsonl", "leads out")]
)
def test_a_pattern_that_names_nothing_readable_is_told(tmp_path: Path, pattern: str, said: str) -> None:
    repository(tmp_path)

    _, (problem,) = wish(tmp_path, {"data": {"train": pattern}})

    assert said in problem.message


def test_mixed_rows_count_by_content_and_weight(tmp_path: Path) -> None:
    repository(tmp_path)
    (tmp_path / "data/more.jsonl").write_text('{"messages": [3]}\n')

    def mixing(*mix: dict[str, Any]) -> Resource:
        resources, problems = wish(tmp_path, {"data": {"mix": list(mix)}})
        assert problems == ()
        return resources[0]

    (plain, *_), _ = wish(tmp_path)
    without, once = mixing(), mixing({"rows": "data/more.jsonl"})
    twice = mixing({"rows": "data/more.jsonl", "weight": 2.0})
    (tmp_path / "data/more.jsonl").rename(tmp_path / "data/moved.jsonl")
    moved = mixing({"rows": "data/moved.jsonl", "weight": 1.0})

    assert plain.identity == without.identity
    assert len({plain.identity, once.identity, twice.identity}) == 3
    assert moved.identity == once.identity
    (mixed,) = spec_of(twice).data.mix
    assert mixed.weight == 2.0
    assert mixed.rows in {upload.uri for upload in twice.uploads}


def test_a_mixed_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    repository(tmp_path)

    _, (problem,) = wish(tmp_path, {"data": {"mix": [{"rows": "data/absent.jsonl"}]}})

    assert "data/absent.jsonl" in problem.message


def test_an_edited_base_changes_the_training(tmp_path: Path) -> None:
    repository(tmp_path)
    (before, *_), _ = wish(tmp_path)

    (tmp_path / "bases/tiny/sub/weights.safetensors").write_bytes(b"other weights")
    (after, *_), _ = wish(tmp_path)

    assert after.identity != before.identity


def test_a_template_counts_by_its_text_wherever_it_stands(tmp_path: Path) -> None:
    repository(tmp_path)
    (tmp_path / "chat.jinja").write_text("{{ messages }}")

    (inline, *_), _ = wish(tmp_path, {"model": {"chat_template": "{{ messages }}"}})
    (file, *_), _ = wish(tmp_path, {"model": {"chat_template": "chat.jinja"}})

    assert inline.identity == file.identity
    assert spec_of(file).model.chat_template == "{{ messages }}"


ROWS = "{% block user %}{{ q }}{% endblock %}{% block assistant %}{{ a }}{% endblock %}"


def test_a_row_template_is_known_by_its_text_and_goes_to_the_trainer(tmp_path: Path) -> None:
    repository(tmp_path)
    (tmp_path / "rows.jinja").write_text(ROWS)

    (without, *_), _ = wish(tmp_path, {})
    (file, *_), diagnostics = wish(tmp_path, {"data": {"template": "rows.jinja", "format": None}})
    (inline, *_), _ = wish(tmp_path, {"data": {"template": ROWS, "format": None}})

    assert diagnostics == ()
    assert spec_of(file).data.template == ROWS
    assert without.identity != file.identity == inline.identity


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{% if %}", "rows.jinja:1: no jinja2 template"),
        ("{{ q | nofilter }}" + ROWS, "no jinja2 template"),
        ("\n{% include 'x' %}" + ROWS, "rows.jinja:2: other files"),
        ("nothing", "it has none"),
    ],
)
def test_a_row_template_that_cannot_be_one_is_an_error_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    repository(tmp_path)
    (tmp_path / "rows.jinja").write_text(text)

    resources, (problem,) = wish(tmp_path, {"data": {"template": "rows.jinja", "format": None}})

    assert resources == ()
    assert problem.rule == "row-template"
    assert words in problem.message
    assert "{% block user %}" in problem.remedy or problem.remedy == "write it out here"


def test_pinned_objects_and_hub_ids_are_passed_as_they_stand(tmp_path: Path) -> None:
    repository(tmp_path)
    named = {
        "model": {"base": "org/name", "revision": "0" * 40},
        "data": {"train": "gs://rows/train.jsonl#17", "eval": f"hf://datasets/org/rows@{'1' * 40}/eval-*.parquet"},
    }

    (training, *_), diagnostics = wish(tmp_path, named)

    spec = spec_of(training)
    assert (spec.model.base, spec.data.train) == ("org/name", "gs://rows/train.jsonl#17")
    assert spec.data.eval == f"hf://datasets/org/rows@{'1' * 40}/eval-*.parquet"
    assert training.uploads == ()
    assert diagnostics == ()


def test_a_missing_tiny_base_says_how_to_make_it(tmp_path: Path) -> None:
    repository(tmp_path)

    resources, (problem,) = wish(tmp_path, {"model": {"base": ".loraform/tiny-base"}})

    assert resources == ()
    assert problem.source == Source("experiments/bot.yaml: model.base")
    assert problem.rule == "missing-file"
    assert problem.remedy == "run `python -m images.tiny --out .loraform/tiny-base`"


@pytest.mark.parametrize(
    ("changes", "rule", "words"),
    [
        ({"data": {"train": "data/none.jsonl"}}, "missing-file", "data/none.jsonl does not exist"),
        ({"data": {"train": "data"}}, "missing-file", "data is a folder, not a file"),
        ({"data": {"train": "data/empty.jsonl"}}, "missing-file", "data/empty.jsonl is empty"),
        ({"data": {"eval": "../outside.jsonl"}}, "path-outside", "leads out of the repository"),
        ({"data": {"eval": "data/link.jsonl"}}, "missing-file", "leads out of the repository"),
        ({"data": {"eval": "s3://b/rows"}}, "location", "s3:// cannot be read"),
        ({"data": {"eval": "hf://datasets/rows/a.jsonl"}}, "location", "names no file of a data set"),
        ({"model": {"base": "./data"}}, "missing-file", "./data is no model: it has no config.json"),
        ({"model": {"base": "./nowhere"}}, "missing-file", "there is no base model at ./nowhere"),
        ({"model": {"tokenizer": "./nowhere"}}, "missing-file", "nowhere does not exist"),
        ({"model": {"chat_template": "binary.jinja"}}, "missing-file", "cannot be read as a text"),
        ({"evaluation": {"own": {"mine": "none.py:score"}}}, "missing-file", "none.py does not exist"),
        ({"evaluation": {"sql": {"script": "gs://bucket/shop.sql"}}}, "location", "is no file of the repository"),
        ({"evaluation": {"sql": {"script": "data"}}}, "missing-file", "data is a folder, not a file"),
    ],
)
def test_what_cannot_be_obeyed_is_an_error_with_a_way_out(
    tmp_path: Path, changes: dict[str, Any], rule: str, words: str
) -> None:
    repository(tmp_path)

    resources, (problem,) = wish(tmp_path, changes)

    assert resources == ()
    assert (problem.rule, problem.severity) == (rule, Severity.ERROR)
    assert words in problem.message
    assert problem.remedy


def test_a_ladder_is_carried_out_as_it_is_given(tmp_path: Path) -> None:
    repository(tmp_path)

    resources, problems = wish(tmp_path, {"run": {"scheduling": {"strategy": ["spot", "standard"]}}})

    assert [rung.strategy for rung in resources[0].rungs] == ["spot", "standard"]
    assert problems == ()


def test_all_problems_of_all_experiments_are_told_at_once(tmp_path: Path) -> None:
    repository(tmp_path)
    broken = {"data": {"train": "none.jsonl", "eval": "none.jsonl"}, "model": {"base": "./none"}}
    experiments = [experiment({"name": "good"}), experiment({"name": "bad", **broken})]

    resources, diagnostics = wish_all(tmp_path, experiments)

    assert {item.address.experiment for item in resources} == {"good"}
    assert len(diagnostics) == 3


def test_the_order_of_the_manifests_does_not_matter(tmp_path: Path) -> None:
    repository(tmp_path)
    experiments = [experiment({"name": name}) for name in ("b", "a", "c")]

    assert wish_all(tmp_path, experiments) == wish_all(tmp_path, experiments[::-1])


def test_the_same_rows_are_the_same_training_in_the_cloud(tmp_path: Path) -> None:
    repository(tmp_path)
    files = Files(tmp_path)
    item = (experiment(), partial(where, "bot"))

    (here, *_), _ = desired([item], Project(fleet="acme"), LOCAL, files)
    (there, *_), _ = desired([item], Project(fleet="acme"), CLOUD, files)

    assert here.identity == there.identity
    assert {upload.uri.split("/")[2] for upload in there.uploads} == {"acme-llm"}


def test_the_quickstart_s_manifest_wants_five_resources() -> None:
    root = Path(__file__).parents[2]
    loaded = load(root)
    (placed,) = (item for item in loaded.experiments if item.value.name == "acme-support")
    base = {"model": placed.value.model.model_copy(update={"base": "org/base", "revision": "0" * 40})}
    item = (placed.value.model_copy(update=base), placed.locate)

    resources, diagnostics = desired([item], loaded.project, LOCAL, Files(root))

    assert diagnostics == ()
    assert len(resources) == 5
    assert {upload.path for upload in resources[0].uploads} == {
        "experiments/data/acme-support/train.jsonl",
        "experiments/data/acme-support/eval.jsonl",
    }


def test_a_hub_id_is_what_is_neither_here_nor_in_a_bucket(tmp_path: Path) -> None:
    repository(tmp_path)
    files = Files(tmp_path)

    found = [is_hub_id(text, files) for text in ("org/name", "bases/tiny", "./org/name", "gs://rows/base", "ftp://x")]

    assert found == [True, False, False, False, False]


def repository(root: Path) -> None:
    """A tiny base, rows, an empty file, bytes that are no text, and a link that leads out."""
    for folder in ("bases/tiny/sub", "data"):
        (root / folder).mkdir(parents=True)
    (root / "bases/tiny/config.json").write_text("{}")
    (root / "bases/tiny/sub/weights.safetensors").write_bytes(b"weights")
    (root / "data/train.jsonl").write_text('{"messages": []}\n')
    (root / "data/eval.jsonl").write_text('{"messages": [2]}\n')
    (root / "data/empty.jsonl").touch()
    (root / "binary.jinja").write_bytes(b"\xff\xfe\x00")
    outside = root.parent / f"{root.name}-outside.jsonl"
    outside.write_text("{}\n")
    (root / "data/link.jsonl").symlink_to(outside)


def experiment(changes: dict[str, Any] | None = None) -> Experiment:
    return Experiment.model_validate(merged(merged(PLAIN, HERE), changes or {}))


def where(name: str, path: str) -> Source:
    return Source(f"experiments/{name}.yaml: {path}")


def wish(root: Path, changes: dict[str, Any] | None = None) -> tuple[tuple[Resource, ...], tuple[Diagnostic, ...]]:
    return wish_all(root, [experiment(changes)])


def wish_all(root: Path, experiments: list[Experiment]) -> tuple[tuple[Resource, ...], tuple[Diagnostic, ...]]:
    placed = [(item, partial(where, item.name)) for item in experiments]
    return desired(placed, Project(fleet="acme"), LOCAL, Files(root))


def spec_of(training: Resource) -> TrainingSpec:
    body: Any = training.body
    return TrainingSpec.model_validate_json(
        json.dumps(body["job_spec"]["worker_pool_specs"][0]["container_spec"]["args"])
    )


def test_every_resource_of_an_experiment_knows_the_names_that_it_had(tmp_path: Path) -> None:
    repository(tmp_path)

    resources, problems = wish(tmp_path, {"moved_from": ["robot", "old-bot"]})
    single, _ = wish(tmp_path, {"moved_from": "old-bot"})

    assert problems == ()
    assert [resource.moved_from for resource in resources] == [("robot", "old-bot")] * 5
    assert {resource.moved_from for resource in single} == {("old-bot",)}
    assert [one.identity for one in resources] == [one.identity for one in wish(tmp_path)[0]]


def test_a_gate_knows_where_each_of_its_bounds_stands(tmp_path: Path) -> None:
    repository(tmp_path)
    bounds = ["eval_loss <= 1.2", {"expr": "rouge_l >= champion", "confidence": 0.9}]

    resources, _ = wish(tmp_path, {"evaluation": {"metrics": ["rouge_l"], "gate": bounds}})

    gate = resources[-1].gate
    assert gate is not None
    assert [source.path.rpartition(" ")[2] for source in gate.sources] == [
        "evaluation.gate.0.expr",
        "evaluation.gate.1.expr",
    ]
