"""Where the base model lies: a hub id, a `gs://` folder or a local folder becomes a folder on this machine.

A hub id is downloaded at its revision, with the token that Secret Manager keeps; `mirror` keeps a copy of it in the
bucket, which is read from then on. Pickled weights are never fetched.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from images.train.failures import ModelNotFound, NotPermitted
from images.train.progress import Progress
from images.train.secret import read_secret
from images.train.storage import Storage, child, is_bucket
from schemas.training_spec import ModelSource

WANTED = ("*.json", "*.safetensors", "*.jinja", "*.model", "*.txt", "*.tiktoken", "*.py")
COMPLETE = "loraform-mirror-complete"
"""Written into a mirror after all files: without it the copy is not whole."""


def is_hub_id(base: str) -> bool:
    """True when `base` is neither a bucket folder nor a local path."""
    return not is_bucket(base) and not base.startswith(("/", ".", "~")) and not Path(base).is_dir()


def locate(source: ModelSource, storage: Storage, progress: Progress, env: Mapping[str, str]) -> Path:
    """The local folder with the base model's config, weights and tokenizer."""
    return _locate(source.base, source, storage, progress, env)


def locate_tokenizer(
    source: ModelSource, base: Path, storage: Storage, progress: Progress, env: Mapping[str, str]
) -> Path:
    """The local folder of the tokenizer: the base's own unless the spec names another."""
    return base if source.tokenizer is None else _locate(source.tokenizer, source, storage, progress, env)


def _locate(name: str, source: ModelSource, storage: Storage, progress: Progress, env: Mapping[str, str]) -> Path:
    if is_bucket(name):
        return _from_bucket(name, storage, progress, env)
    if not is_hub_id(name):
        folder = Path(name).expanduser()
        if not (folder / "config.json").is_file() and not (folder / "tokenizer_config.json").is_file():
            raise ModelNotFound(f"{name} is not a model folder", "It must hold config.json; check model.base.")
        return folder
    revision = source.revision if name == source.base else None
    if source.mirror is None:
        return _from_hub(name, revision, source, env)
    copy = child(source.mirror, f"{name}/{revision or 'main'}")
    if storage.read(child(copy, COMPLETE)) is None:
        folder = _from_hub(name, revision, source, env)
        progress.note(f"copying {name} to {copy}, once")
        storage.upload_folder(folder, copy)
        storage.write(child(copy, COMPLETE), b"{}")
        return folder
    progress.note(f"reading {name} from its mirror {copy}")
    return _from_bucket(copy, storage, progress, env)


def _from_bucket(uri: str, storage: Storage, progress: Progress, env: Mapping[str, str]) -> Path:
    """Download a folder once per content: the cache is keyed by the names and generations that it holds."""
    listing = [(name, generation) for name, generation in storage.names(uri) if name != COMPLETE]
    if not any(name in ("config.json", "tokenizer_config.json") for name, _ in listing):
        raise ModelNotFound(f"{uri} holds no model", "It must hold config.json; check model.base and the bucket.")
    key = hashlib.sha256(repr((uri, listing)).encode()).hexdigest()[:20]
    folder = _cache(env) / key
    if folder.is_dir():
        return folder
    progress.note(f"downloading {len(listing)} files from {uri}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{key}-", dir=folder.parent))
    try:
        storage.fetch(uri, [name for name, _ in listing], draft)
        if not folder.exists():
            draft.rename(folder)
    except OSError:
        if not folder.is_dir():  # Another process of this machine may have put the same content there.
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def _from_hub(name: str, revision: str | None, source: ModelSource, env: Mapping[str, str]) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    token = read_secret(source.token_secret, env) if source.token_secret else None
    patterns = list(WANTED if source.trust_remote_code else WANTED[:-1])
    try:
        return Path(
            snapshot_download(
                name, revision=revision, token=token, allow_patterns=patterns, endpoint=env.get("HF_ENDPOINT")
            )
        )
    except GatedRepoError as error:
        raise NotPermitted(
            f"{name} is gated and this token may not read it",
            "Accept its licence on the hub and give model.token_secret.",
        ) from error
    except RevisionNotFoundError as error:
        raise ModelNotFound(f"{name} has no revision {revision}", "Check model.revision.") from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise ModelNotFound(
            f"{name} is not a folder here and not a model on the hub",
            "Check model.base; a private model needs model.token_secret.",
        ) from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise ModelNotFound(
            f"{name} cannot be downloaded from the hub ({type(error).__name__})",
            "Check the network, or copy the model into a bucket and name that folder in model.base.",
        ) from error


def _cache(env: Mapping[str, str]) -> Path:
    given = env.get("LORAFORM_CACHE")
    return Path(given) if given else Path(os.path.expanduser("~")) / ".cache" / "loraform" / "bases"
