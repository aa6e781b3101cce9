"""What must hold between a manifest and its surroundings: the repository, the policy, the target, other manifests.

The rules within one manifest are in `schemas.rules`. Every check yields findings; none stops another.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from reconciler.repo import locations
from reconciler.repo.locations import BadLocation, BucketObject, HubFile, HubId, RepositoryPath
from schemas.endpoint import Endpoint
from schemas.experiment import Experiment
from schemas.finding import Finding
from schemas.finding import Path as FieldPath
from schemas.model import Model
from schemas.project import LOCAL, Project, Target
from schemas.vllm_lora import servable

_COMMIT = re.compile(r"[0-9a-f]{40}")
FROM = "from"
"""The rule that an experiment which goes on from another one must keep."""
_SHAPE = (
    "r",
    "target_modules",
    "rank_pattern",
    "modules_to_save",
    "use_dora",
    "layers_to_transform",
    "exclude_modules",
)
"""What decides which tensors an adapter has, and of which size."""
_DIGEST = re.compile(r".+@sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a manifest is checked against."""

    root: Path
    pins: bool
    """What is not pinned is an error, else a warning."""
    remote_code: bool
    """The policy allows `trust_remote_code`."""
    looked: dict[object, tuple[Finding, ...]] = field(default_factory=dict)
    """What was found of places so far: many manifests name the same ones, and one look sees one state."""

    def once(self, key: object, look: Callable[[], Iterator[Finding]]) -> tuple[Finding, ...]:
        """The findings of `look`, from memory where the same `key` was looked at before."""
        if key not in self.looked:
            self.looked[key] = tuple(look())
        return self.looked[key]


def of_experiment(experiment: Experiment, around: Surroundings) -> Iterator[Finding]:
    """Places that exist and stay in the repository, pins, and what the policy forbids."""
    yield from of_model(experiment.model, around)
    for key in ("train", "eval"):
        text = getattr(experiment.data, key)
        if text is not None:
            yield from _data_once(("data", key), text, around)
    for index, mixed in enumerate(experiment.data.mix):
        yield from _data_once(("data", "mix", index, "rows"), mixed.rows, around)
    if experiment.serving is not None and experiment.serving.form == "adapter" and experiment.method != "full":
        base = experiment.model.base
        yield from around.once(("servable", base), lambda: _servable(base, around))
    if experiment.data.eval is not None and experiment.data.eval == experiment.data.train:
        yield Finding(
            ("data", "eval"),
            "eval-is-train",
            "the same rows are learnt and judged",
            "Hold some rows back and name them here.",
            warning=True,
        )


def _servable(base: str, around: Surroundings) -> Iterator[Finding]:
    """Whether vLLM takes an adapter beside this base, where the base lies here and says what it is."""
    architecture = _architecture(base, around)
    if architecture is None or architecture in servable().takes:
        return
    if architecture in servable().refuses:
        yield Finding(
            ("serving", "form"),
            "not-servable",
            f"vLLM {servable().version} takes no adapter beside a {architecture}",
            "Write `form: merged` under `serving`.",
            absent=("serving", "form"),
        )
    else:
        yield Finding(
            ("model", "base"),
            "not-servable",
            f"vLLM {servable().version} does not know the architecture {architecture}",
            "Train it without `serving`, or take another base.",
        )


def _architecture(base: str, around: Surroundings) -> str | None:
    try:
        place = locations.base_location(base, around.root)
        if not isinstance(place, RepositoryPath):
            return None
        config = json.loads((around.root / place.path / "config.json").read_text(encoding="utf-8"))
        return str(config["architectures"][0])
    except (BadLocation, OSError, ValueError, LookupError, TypeError):
        return None


def of_model(model: Model, around: Surroundings) -> Iterator[Finding]:
    """The block `model` of an experiment or a shared endpoint."""
    yield from around.once(("base", model.base, model.revision), lambda: _of_base(model, around))
    if model.tokenizer is not None:
        yield from _existing(("model", "tokenizer"), model.tokenizer, around)
    if model.chat_template is not None and not locations.is_inline_template(model.chat_template):
        yield from _data_once(("model", "chat_template"), model.chat_template, around)
    if model.trust_remote_code and not around.remote_code:
        yield Finding(
            ("model", "trust_remote_code"),
            "policy",
            "the policy does not allow code that comes with a model",
            "Set `policy: {allow_trust_remote_code: true}` in loraform.yaml once somebody has read that code.",
        )


def _of_base(model: Model, around: Surroundings) -> Iterator[Finding]:
    try:
        base = locations.base_location(model.base, around.root)
    except BadLocation as bad:
        yield _bad(("model", "base"), bad)
    else:
        yield from _base(model, base, around)


def _base(model: Model, base: locations.Location, around: Surroundings) -> Iterator[Finding]:
    if isinstance(base, HubId):
        if model.revision is None or _COMMIT.fullmatch(model.revision) is None:
            said = f"`{model.revision}` can move" if model.revision else "no revision is given"
            yield Finding(
                ("model", "base"),
                "unpinned",
                f"{base} is not pinned: {said}, and so can what is trained",
                "Write the 40 hex digits of a commit as `model.revision`; `loraform pin` does it.",
                warning=not around.pins,
                absent=("model", "revision"),
            )
        return
    if model.revision is not None:
        yield Finding(
            ("model", "revision"),
            "revision",
            f"only a hub id has a revision; {base} is "
            + ("a path of the repository" if isinstance(base, RepositoryPath) else "in a bucket"),
            "Delete it.",
        )
    if isinstance(base, RepositoryPath):
        yield from _existing(("model", "base"), model.base, around)


def _existing(path: FieldPath, text: str, around: Surroundings) -> Iterator[Finding]:
    try:
        place = locations.base_location(text, around.root)
        if isinstance(place, RepositoryPath):
            locations.inside(around.root, place)
    except BadLocation as bad:
        yield _bad(path, bad)


def _data_once(path: FieldPath, text: str, around: Surroundings) -> tuple[Finding, ...]:
    return around.once(("data", path, text), lambda: _data(path, text, around))


def _data(path: FieldPath, text: str, around: Surroundings) -> Iterator[Finding]:
    try:
        place = locations.data_location(text)
        if isinstance(place, RepositoryPath) and "*" in place.path and path[0] == "data":
            return  # What matches is looked for where it is hashed.
        if isinstance(place, RepositoryPath) and not locations.inside(around.root, place).is_file():
            yield Finding(path, "missing-file", f"{place} is a folder, not a file")
    except BadLocation as bad:
        yield _bad(path, bad)
        return
    if isinstance(place, HubFile) and _COMMIT.fullmatch(place.revision) is None:
        said = f"`{place.revision}` can move" if place.revision else "it names no commit"
        yield Finding(
            path,
            "unpinned",
            f"{place} is not pinned: {said}, and so can what is trained",
            f"Write hf://datasets/{place.name}@<40 hex digits of a commit>/...; `loraform pin` does it.",
            warning=not around.pins,
        )
    if isinstance(place, BucketObject) and not place.pin:
        yield Finding(
            path,
            "unpinned",
            f"{place} is not pinned: another upload under this name would go unnoticed",
            "Patterns cannot be pinned yet: name one object, or put the files into the repository."
            if "*" in place.uri
            else "Append the generation, as #1763600000000000; `loraform pin` does it.",
            warning=not around.pins,
        )


def of_regions(experiment: Experiment, name: str, target: Target) -> Iterator[Finding]:
    """Vertex AI writes only to a bucket of the region that it works in. This machine has no regions."""
    if target.kind == LOCAL:
        return
    for index, region in enumerate(experiment.run.regions):
        if region != target.region and region not in target.buckets:
            yield Finding(
                ("run", "regions", index),
                "region-bucket",
                f"the target `{name}` has no bucket in {region}",
                f"Write `buckets: {{{region}: BUCKET}}` under that target in loraform.yaml, or delete the region.",
            )


def of_project(project: Project, name: str | None) -> Iterator[Finding]:
    """The project file by itself; `name` is the target that the command line asks for."""
    names = sorted(project.all_targets)
    for path, wanted in ((("default_target",), project.default_target), ((), name)):
        if wanted is not None and wanted not in names:
            near = get_close_matches(wanted, names, 1)
            hint = f"Did you mean `{near[0]}`? " if near else ""
            yield Finding(path, "unknown-target", f"there is no target `{wanted}`", f"{hint}Known: {', '.join(names)}.")
    for target_name, target in sorted(project.targets.items()):
        if target.kind == LOCAL:
            continue
        missing = [key for key in ("project", "region", "bucket") if getattr(target, key) is None]
        if missing:
            yield Finding(
                ("targets", target_name),
                "missing-key",
                f"the target `{target_name}` lacks {', '.join(missing)}",
                "A cloud target needs them; one on this machine says `kind: local`.",
            )
    for index, pattern in enumerate(project.experiments):
        if pattern.startswith("/") or ".." in Path(pattern).parts:
            yield Finding(
                ("experiments", index), "path-outside", f"{pattern} leads out of the repository", "Name a folder in it."
            )


def of_images(project: Project) -> Iterator[Finding]:
    """On a cloud target that requires pins, containers are named by digest."""
    for key in ("train", "serve"):
        image = getattr(project.images, key)
        if _DIGEST.fullmatch(image) is None:
            yield Finding(
                ("images", key) if key in project.images.model_fields_set else ("images",),
                "unpinned",
                f"the {key} image {image} is not pinned by digest",
                f"Write `images: {{{key}: REGION-docker.pkg.dev/PROJECT/REPOSITORY/NAME@sha256:...}}`.",
            )


def of_endpoint(endpoint: Endpoint, experiments: Sequence[Experiment]) -> Iterator[Finding]:
    """A shared endpoint beside its members: routes, capacity, one base."""
    capacity, names = endpoint.capacity, sorted(item.name for item in experiments)
    if capacity.max_cpu_loras is not None and capacity.max_cpu_loras < capacity.max_loras:
        yield Finding(
            ("capacity", "max_cpu_loras"),
            "capacity",
            f"max_cpu_loras {capacity.max_cpu_loras} is below max_loras {capacity.max_loras}",
        )
    for public, weights in endpoint.routes.items():
        for name in weights:
            if name not in names:
                near = get_close_matches(name, names, 1)
                hint = f"Did you mean `{near[0]}`?" if near else ""
                yield Finding(("routes", public), "unknown-experiment", f"there is no experiment `{name}`", hint)
        if sum(weights.values()) != 100:
            yield Finding(
                ("routes", public), "weights", f"the weights of `{public}` sum to {sum(weights.values())}, not to 100"
            )
    members = [item for item in experiments if item.serving is not None and item.serving.endpoint == endpoint.name]
    held = capacity.max_cpu_loras or capacity.max_loras
    if len(members) > held:
        yield Finding(
            ("capacity",),
            "capacity",
            f"{len(members)} experiments join, and there is room for {held}",
            "Raise `max_cpu_loras`, or let some of them join another endpoint.",
        )


def of_member(experiment: Experiment, endpoints: Sequence[Endpoint]) -> Iterator[Finding]:
    """An experiment that joins a shared endpoint: it must exist, and have the same base."""
    if experiment.serving is None or experiment.serving.endpoint is None:
        return
    wanted, path = experiment.serving.endpoint, ("serving", "endpoint")
    host = next((item for item in endpoints if item.name == wanted), None)
    if host is None:
        near = get_close_matches(wanted, [item.name for item in endpoints], 1)
        hint = f"Did you mean `{near[0]}`?" if near else "Declare it in a manifest of `kind: Endpoint`."
        yield Finding(path, "unknown-endpoint", f"there is no shared endpoint `{wanted}`", hint)
        return
    for key in ("base", "revision", "tokenizer", "chat_template"):
        mine, its = getattr(experiment.model, key), getattr(host.model, key)
        if mine != its:
            yield Finding(
                path, "other-base", f"`{wanted}` serves `model.{key}: {its}`, and this experiment tunes {mine}"
            )
    rank = experiment.adapter.effective("r")
    if isinstance(rank, int) and rank > host.capacity.max_lora_rank:
        yield Finding(
            path,
            "capacity",
            f"rank {rank} is above the {host.capacity.max_lora_rank} that `{wanted}` has room for",
            "Raise its `max_lora_rank`, or lower `adapter.r`.",
        )


def of_successor(experiment: Experiment, before: Sequence[Experiment]) -> Iterator[Finding]:
    """An experiment that goes on from another's adapter; `before` are its predecessors, the nearest first."""
    name, path = experiment.model.from_, ("model", "from")
    if name is None:
        return
    if not before:
        yield Finding(path, FROM, f"there is no experiment `{name}` to go on from", "Name one of this repository.")
        return
    if any(one.name == experiment.name for one in before):
        way = " -> ".join([experiment.name, *(one.name for one in before)])
        yield Finding(path, FROM, f"no training can be the first of these: {way}", "Delete one `from`.")
        return
    first = before[0]
    for method, which in ((experiment.method, "this one"), (first.method, f"`{name}`")):
        if method == "full":
            yield Finding(
                path,
                FROM,
                f"{which} is fine-tuned in full, and only an adapter can be gone on from",
                "Write `method: lora` or `qlora`, or name the full model's folder as `model.base`.",
            )
            return
    for key in ("base", "revision", "tokenizer", "chat_template"):
        mine, its = getattr(experiment.model, key), getattr(first.model, key)
        if mine != its:
            yield Finding(path, FROM, f"`{name}` tunes `model.{key}: {its}`, and this experiment {mine}", "Use its.")
    for key in _SHAPE:
        shape, other = experiment.adapter.effective(key), first.adapter.effective(key)
        if shape != other:
            yield Finding(
                path, FROM, f"the adapter of `{name}` has `{key}: {other}`, and this one {shape}", f"Use its `{key}`."
            )


def _bad(path: FieldPath, bad: BadLocation) -> Finding:
    return Finding(path, bad.rule, str(bad), bad.remedy)
