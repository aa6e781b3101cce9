"""The artifact: a folder with the adapter (or the full model), tokenizer, template, stop tokens, scores and a card.

Nothing in it is a pickle, and everything in it is the same for the same result: the configs are canonical JSON. The
digest covers the tensors and the canonical config.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from images.common.row_template import FILE as ROW_TEMPLATE
from images.train.beginning import difference, quiet
from images.train.card import write_card
from schemas.training_spec import TrainingSpec

ADAPTER, MODEL = "adapter_config.json", "config.json"


def write_artifact(
    folder: Path,
    model: Any,
    tokenizer: Any,
    spec: TrainingSpec,
    stops: Sequence[int],
    weights: Mapping[str, Any] | None = None,
) -> str:
    """Write everything below `folder` but what an evaluation finds, and return the digest.

    `weights` are the model's where it is spread over several processes.
    """
    import contextlib
    import io

    config = MODEL if spec.method == "full" else ADAPTER
    with contextlib.redirect_stdout(io.StringIO()), quiet():
        if spec.method == "full":
            model.save_pretrained(folder, state_dict=weights)
        else:
            # "auto" would ask the hub for the base's vocabulary size. Embeddings that were trained are in
            # modules_to_save, which is always written.
            model.save_pretrained(folder, save_embedding_layers=False, state_dict=weights, **difference(folder.parent))
    _canonical(
        folder / config,
        {}
        if spec.method == "full"
        else {
            "base_model_name_or_path": spec.model.base,
            "revision": spec.model.revision,
        },
    )
    tokenizer.save_pretrained(folder)
    if tokenizer.chat_template is not None:
        (folder / "chat_template.jinja").write_text(tokenizer.chat_template, encoding="utf-8")
    if spec.data.template is not None:
        (folder / ROW_TEMPLATE).write_text(spec.data.template, encoding="utf-8")
    generation = {**model.generation_config.to_diff_dict(), "eos_token_id": list(stops)}
    generation.pop("transformers_version", None)
    _write_json(folder / "generation_config.json", generation)
    digest = digest_of(folder)
    write_card(folder, spec, {}, digest)
    for file in folder.rglob("*"):
        file.chmod(0o755 if file.is_dir() else 0o644)
    return digest


def digest_of(folder: Path) -> str:
    """sha256 over every tensor (name, dtype, shape, bytes, by name) and the canonical config in `folder`."""
    digest = hashlib.sha256()
    for name in (ADAPTER, MODEL):
        if (folder / name).is_file():
            digest.update(_bytes(json.loads((folder / name).read_text(encoding="utf-8"))))
    for name, header, content in sorted(_tensors(folder)):
        digest.update(f"{name} {header} ".encode())
        digest.update(content)
    return digest.hexdigest()


def canonical_config(folder: Path) -> None:
    """Rewrite a whole model's config as everything here is written."""
    _canonical(folder / MODEL, {})


def _tensors(folder: Path) -> list[tuple[str, str, bytes]]:
    """(name, dtype and shape, sha256 of the bytes) of every tensor, read one file at a time."""
    found = []
    for file in sorted(folder.glob("*.safetensors")):
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            header = json.loads(stream.read(length))
            for name, entry in header.items():
                if name == "__metadata__":
                    continue
                start, end = entry["data_offsets"]
                stream.seek(8 + length + start)
                content = hashlib.sha256(stream.read(end - start)).digest()
                found.append((name, f"{entry['dtype']} {entry['shape']}", content))
    return found


def _canonical(path: Path, override: Mapping[str, Any]) -> None:
    """Rewrite a config with sorted keys; lists that came out of sets (target modules) are sorted too."""
    config = json.loads(path.read_text(encoding="utf-8")) | override
    for key in ("target_modules", "modules_to_save", "exclude_modules", "target_parameters"):
        if isinstance(config.get(key), list):
            config[key] = sorted(config[key])
    _write_json(path, config)


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _bytes(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
