"""A base model named in a spec becomes a folder on this disk: from a folder, a bucket, a mirror or the hub.

A mirror is a copy of one revision of a hub model in a bucket, made once by whichever container comes first; its
marker, written last, says that the copy is whole.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from images.common.secret import read_secret
from images.common.storage import fetch_folder, split_uri, storage_client, upload_folder
from schemas.training_spec import ModelSource

# The trainer fills the same mirrors: place and marker are part of what both agree on.
MARKER = "loraform-mirror-complete"
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
# Weights come as safetensors only: a pickle could run code.
WANTED = ["*.json", "*.safetensors", "*.jinja", "*.model", "*.txt", "*.tiktoken"]


def fetch_base(source: ModelSource, cache: Path, *, client: Any = None) -> Path:
    """The folder of the base model. LookupError and FileNotFoundError say what is missing and the way out."""
    return _fetch(source.base, source, cache, client)


def fetch_tokenizer(source: ModelSource, cache: Path, *, client: Any = None) -> Path | None:
    """The folder of the tokenizer, when the spec names another one than the base's; else None."""
    if source.tokenizer is None:
        return None
    return _fetch(source.tokenizer, source, cache, client)


def is_hub_id(name: str) -> bool:
    """Whether the name can only be a model on the hub: neither an address nor a folder of this machine."""
    return not Path(name).is_dir() and HUB_ID.fullmatch(name) is not None


def mirror_uri(name: str, source: ModelSource) -> str:
    """Where the mirror keeps hub model `name`: one folder per model and revision."""
    revision = source.revision if name == source.base else None
    return f"{(source.mirror or '').rstrip('/')}/{name}/{revision or 'main'}"


def _fetch(name: str, source: ModelSource, cache: Path, client: Any) -> Path:
    if not is_hub_id(name):
        return fetch_folder(name, cache, client=client)
    if source.mirror is None:
        return _from_hub(name, source)
    client = client or storage_client()
    address = mirror_uri(name, source)
    bucket, prefix = split_uri(address)
    marker = client.bucket(bucket).blob(f"{prefix}/{MARKER}")
    if marker.exists():
        return fetch_folder(address, cache, client=client)
    folder = _from_hub(name, source)
    upload_folder(folder, address, client=client)
    marker.upload_from_string(b"{}")
    return folder


def _from_hub(name: str, source: ModelSource) -> Path:
    import huggingface_hub

    token = read_secret(source.token_secret) if source.token_secret else None
    revision = source.revision if name == source.base else None
    wanted = [*WANTED, "*.py"] if source.trust_remote_code else WANTED
    try:
        return Path(huggingface_hub.snapshot_download(name, revision=revision, token=token, allow_patterns=wanted))
    except Exception as error:
        hint = (
            "name a gs:// folder or a local folder as `model.base`, or keep a copy with `model.mirror: gs://...`; "
            "a gated model needs `model.token_secret`"
        )
        raise LookupError(f"the hub did not give {name!r} ({type(error).__name__}: {error}); {hint}") from error
