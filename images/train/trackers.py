"""MLflow and Weights & Biases, by `training.report_to`: transformers tells of the training, this of what came after.

Neither is in the image: a name whose package is missing ends the run before anything is trained.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from typing import Any

from images.train.failures import SpecInvalid

PACKAGES = {"mlflow": "mlflow", "wandb": "wandb"}


def names(report_to: Any) -> tuple[str, ...]:
    """The trackers that `report_to` names, in trl's ways of saying it."""
    listed = [report_to] if isinstance(report_to, str) else list(report_to or ())
    return tuple(name for name in listed if name != "none")


def check(report_to: Any) -> None:
    """Raise `SpecInvalid` for a tracker whose package the image lacks."""
    for name in names(report_to):
        package = PACKAGES.get(name)
        if package is not None and importlib.util.find_spec(package) is None:
            raise SpecInvalid(
                f"training.report_to names {name}, and the package {package} is not in this image",
                f"Build an image with `pip install {package}` on top of it, or leave {name} out.",
            )


def tell(report_to: Any, metrics: Mapping[str, float]) -> None:
    """Give the final metrics to the runs that transformers has begun."""
    wanted = names(report_to)
    if "mlflow" in wanted and "mlflow" in sys.modules:
        sys.modules["mlflow"].log_metrics(dict(metrics))
    if "wandb" in wanted and "wandb" in sys.modules and sys.modules["wandb"].run is not None:
        sys.modules["wandb"].log(dict(metrics))
