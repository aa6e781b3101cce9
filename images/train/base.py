"""Where the base model lies: `images.common` fetches it, and here its refusals become failures of a training run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from images.common.base_model import Way, fetch_base, fetch_tokenizer
from images.common.failures import Denied, Missing
from images.common.secret import SECRET_NAME
from images.common.storage import cache_folder
from images.train.failures import ModelNotFound, NotPermitted, SpecInvalid
from images.train.progress import Progress
from images.train.storage import Storage, translated
from schemas.training_spec import ModelSource


def locate(source: ModelSource, storage: Storage, progress: Progress, env: Mapping[str, str]) -> Path:
    """The local folder with the base model's config, weights and tokenizer."""
    with _told(source.base, source):
        return fetch_base(source, _way(storage, progress, env))


def locate_tokenizer(
    source: ModelSource, base: Path, storage: Storage, progress: Progress, env: Mapping[str, str]
) -> Path:
    """The local folder of the tokenizer: the base's own unless the spec names another."""
    with _told(source.tokenizer or source.base, source):
        return fetch_tokenizer(source, _way(storage, progress, env)) or base


def _way(storage: Storage, progress: Progress, env: Mapping[str, str]) -> Way:
    return Way(cache_folder(env), storage.google, progress.note, env)


@contextlib.contextmanager
def _told(name: str, source: ModelSource) -> Iterator[None]:
    if source.token_secret is not None and not SECRET_NAME.fullmatch(source.token_secret):
        raise SpecInvalid(f"{source.token_secret!r} is not a secret version", "Write projects/P/secrets/S/versions/V.")
    with translated(name):
        try:
            yield
        except Denied as error:
            raise NotPermitted(error.what, error.remedy) from error
        except Missing as error:
            raise ModelNotFound(error.what, error.remedy) from error
        except ValueError as error:
            raise ModelNotFound(f"{name}: {error}", "Copy the model again, or check model.base.") from error
