"""A user's own metrics: functions of the repository, or of a package in the image, that score one answer.

`score(answer, expected)` or `score(answer, expected, record)` gives a number; `record` is the row as it stands in the
file. The code runs in the training job, with what the job may do: it is the repository's own, reviewed like a manifest.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from images.train.answers import Prediction
from images.train.failures import SpecInvalid
from images.train.scores import Score
from images.train.storage import Storage


def load_own(
    own: Mapping[str, str], records: Sequence[Mapping[str, Any]], storage: Storage, scratch: Path
) -> dict[str, Score]:
    """The functions by metric. `own` names each as `ADDRESS.py:function` or `package.module:function`.

    `records` are the evaluation rows as they stand in their file. Raises `SpecInvalid` for one that is not there.
    """
    return {name: _scorer(name, _function(name, place, storage, scratch), records) for name, place in own.items()}


def _function(name: str, place: str, storage: Storage, scratch: Path) -> Any:
    where, _, function = place.rpartition(":")
    try:
        module = _from_file(name, where, storage, scratch) if where.endswith(".py") else importlib.import_module(where)
    except SpecInvalid:
        raise
    except Exception as error:
        raise SpecInvalid(
            f"evaluation.own.{name}: {where} cannot be imported: {type(error).__name__}: {error}",
            "Mend it, or build an image that has what it imports.",
        ) from error
    found = getattr(module, function, None)
    if not callable(found):
        raise SpecInvalid(f"evaluation.own.{name}: {where} has no function {function!r}", "Write PATH.py:FUNCTION.")
    return found


def _from_file(name: str, address: str, storage: Storage, scratch: Path) -> Any:
    found = storage.read(address)
    if found is None:
        raise SpecInvalid(f"evaluation.own.{name}: {address} is not there", "Apply again: it uploads the file.")
    file = scratch / f"own_{name}.py"
    file.write_bytes(found.content)
    spec = importlib.util.spec_from_file_location(f"loraform_own_{name}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def _scorer(name: str, function: Any, records: Sequence[Mapping[str, Any]]) -> Score:
    with_record = len(inspect.signature(function).parameters) > 2

    def score(prediction: Prediction) -> float:
        given: tuple[Any, ...] = (prediction.answer, prediction.expected)
        try:
            found = function(*given, dict(records[prediction.row])) if with_record else function(*given)
            return float(found)
        except Exception as error:
            raise SpecInvalid(
                f"evaluation.own.{name} fails on eval row {prediction.row}: {type(error).__name__}: {error}",
                "Mend the function.",
            ) from error

    return score
