"""Rows on a hub: `hf://datasets/ORG/NAME[@REVISION]/PATH`, one file or all that a pattern names, fetched to this disk.

Only files are read: no loading script of a data set is ever run.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from images.common.secret import read_secret
from images.train.failures import NotPermitted, StorageFailed

_ADDRESS = re.compile(r"hf://datasets/(?P<name>[^/@]+/[^/@]+)(@(?P<revision>[^/]+))?/(?P<path>.+)")


@dataclass(frozen=True, slots=True)
class Hub:
    """How a hub is reached: the secret with its token, and the environment (HF_ENDPOINT)."""

    token_secret: str | None = None
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)


def on_hub(uri: str) -> bool:
    """True for rows on a hub."""
    return uri.startswith("hf://")


def fetch_rows(uri: str, hub: Hub) -> list[tuple[str, Path]]:
    """(address, local file) of everything that `uri` names, sorted. Raises `TrainingFailed`."""
    found = _ADDRESS.fullmatch(uri)
    if found is None:
        raise StorageFailed(f"{uri} names no file of a data set", "Write hf://datasets/ORG/NAME@COMMIT/FILE.")
    from httpx2 import HTTPError  # what huggingface_hub speaks HTTP with
    from huggingface_hub import HfApi
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    name, revision, path = found["name"], found["revision"], found["path"]
    token = read_secret(hub.token_secret, hub.environ) if hub.token_secret else None
    api = HfApi(endpoint=hub.environ.get("HF_ENDPOINT"), token=token)
    try:
        paths = [path]
        if "*" in path:
            whole = re.compile(re.escape(path).replace(r"\*\*/", "(?:.*/)?").replace(r"\*", "[^/]*"))
            listed = api.list_repo_files(name, repo_type="dataset", revision=revision)
            paths = sorted(one for one in listed if whole.fullmatch(one))
        start = uri[: -len(path)]
        return [
            (f"{start}{one}", Path(api.hf_hub_download(name, one, repo_type="dataset", revision=revision)))
            for one in paths
        ]
    except GatedRepoError as error:
        raise NotPermitted(
            f"{name} is gated and this token may not read it",
            "Accept its conditions on the hub and give model.token_secret.",
        ) from error
    except RevisionNotFoundError as error:
        raise StorageFailed(f"{name} has no revision {revision}", "`loraform pin` writes the newest.") from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise StorageFailed(
            f"{name} is no data set on the hub", "Check the address; a private one needs model.token_secret."
        ) from error
    except LocalEntryNotFoundError as error:
        raise StorageFailed(f"{uri} cannot be downloaded from the hub", "Check the network.") from error
    except EntryNotFoundError as error:
        raise StorageFailed(f"{uri} is not there", "Check the file's name.") from error
    except (HfHubHTTPError, HTTPError, OSError) as error:
        raise StorageFailed(
            f"{uri} cannot be downloaded from the hub ({type(error).__name__})", "Check the network."
        ) from error
