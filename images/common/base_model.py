"""A base model named in a spec becomes a folder on this disk: from a folder, a bucket, a mirror or the hub.

A mirror is a copy of one revision of a hub model in a bucket, made once by whichever container comes first; its
marker, written last, says that the copy is whole. Errors are `Missing` and `Denied`, and those of `storage.py`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from images.common.failures import Denied, Missing
from images.common.secret import read_secret
from images.common.storage import fetch_folder, split_uri, storage_client, upload_folder
from schemas.training_spec import ModelSource

MARKER = "loraform-mirror-complete"
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
# Weights come as safetensors only: a pickle could run code.
WANTED = ["*.json", "*.safetensors", "*.jinja", "*.model", "*.txt", "*.tiktoken"]


@dataclass(frozen=True, slots=True)
class Way:
    """How models come here: the cache, Google's client (made where it is needed, if None), and who is told."""

    cache: Path
    client: Callable[[], Any] = storage_client
    note: Callable[[str], None] = lambda text: None
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)


def fetch_base(source: ModelSource, way: Way) -> Path:
    """The folder of the base model."""
    return _fetch(source.base, source, way)


def fetch_tokenizer(source: ModelSource, way: Way) -> Path | None:
    """The folder of the tokenizer, when the spec names another one than the base's; else None."""
    return None if source.tokenizer is None else _fetch(source.tokenizer, source, way)


def is_hub_id(name: str) -> bool:
    """Whether the name can only be a model on the hub: neither an address nor a folder of this machine."""
    return not Path(name).is_dir() and HUB_ID.fullmatch(name) is not None


def mirror_uri(name: str, source: ModelSource) -> str:
    """Where the mirror keeps hub model `name`: one folder per model and revision."""
    revision = source.revision if name == source.base else None
    return f"{(source.mirror or '').rstrip('/')}/{name}/{revision or 'main'}"


def _fetch(name: str, source: ModelSource, way: Way) -> Path:
    if name.startswith("gs://"):
        return _from_bucket(name, way)
    if not is_hub_id(name):
        folder = Path(name.removeprefix("file://")).expanduser()
        if not _is_model(folder):
            raise Missing(f"{name} is not a model folder", "It must hold config.json; check model.base.")
        return folder
    if source.mirror is None:
        return _from_hub(name, source, way)
    address = mirror_uri(name, source)
    bucket, prefix = split_uri(address)
    client = way.client()
    marker = client.bucket(bucket).blob(f"{prefix}/{MARKER}")
    if marker.exists():
        way.note(f"reading {name} from its mirror {address}")
        return _from_bucket(address, way)
    folder = _from_hub(name, source, way)
    way.note(f"copying {name} to {address}, once")
    upload_folder(folder, address, client=client)
    marker.upload_from_string(b"{}")
    return folder


def _from_bucket(uri: str, way: Way) -> Path:
    remedy = "It must hold config.json; check model.base and the bucket."
    try:
        folder = fetch_folder(uri, way.cache, client=way.client(), without=MARKER, note=way.note)
    except FileNotFoundError as error:
        raise Missing(f"{uri} holds no model", remedy) from error
    if not _is_model(folder):
        raise Missing(f"{uri} holds no model", remedy)
    return folder


def _is_model(folder: Path) -> bool:
    """Whether `folder` holds a model or, where only a tokenizer is wanted, a tokenizer."""
    return any((folder / name).is_file() for name in ("config.json", "tokenizer_config.json"))


def _from_hub(name: str, source: ModelSource, way: Way) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    token = read_secret(source.token_secret, way.environ) if source.token_secret else None
    revision = source.revision if name == source.base else None
    wanted = [*WANTED, "*.py"] if source.trust_remote_code else WANTED
    endpoint = way.environ.get("HF_ENDPOINT")
    try:
        return Path(snapshot_download(name, revision=revision, token=token, allow_patterns=wanted, endpoint=endpoint))
    except GatedRepoError as error:
        raise Denied(
            f"{name} is gated and this token may not read it",
            "Accept its licence on the hub and give model.token_secret.",
        ) from error
    except RevisionNotFoundError as error:
        raise Missing(f"{name} has no revision {revision}", "Check model.revision.") from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise Missing(
            f"{name} is not a folder here and not a model on the hub",
            "Check model.base; a private model needs model.token_secret.",
        ) from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise Missing(
            f"{name} cannot be downloaded from the hub ({type(error).__name__})",
            "Check the network, or copy the model into a bucket (a folder in model.base, or model.mirror).",
        ) from error
