"""From the spec to the settings of an evaluation, with everything that can be wrong in them found before a training."""

from __future__ import annotations

from pathlib import Path

from images.train.dataset import Rows
from images.train.evaluation import Settings
from images.train.failures import SpecInvalid
from images.train.own_metric import load_own
from images.train.sql import Databases
from images.train.storage import Storage
from schemas.gate import SQL
from schemas.training_spec import TrainingSpec


def settings_of(spec: TrainingSpec, wanted: tuple[str, ...], rows: Rows, storage: Storage, scratch: Path) -> Settings:
    """What to measure on `rows`. `wanted` are the metrics that need answers (`known_metrics`).

    Loads the user's functions, and runs the expected queries of all rows once: raises `SpecInvalid` or `DataInvalid`.
    """
    scoring = spec.scoring
    databases = None
    if SQL in wanted:
        script = ""
        if scoring.sql_script is not None:
            found = storage.read(scoring.sql_script)
            if found is None:
                raise SpecInvalid(f"{scoring.sql_script} is not there", "Apply again: it uploads the file.")
            script = found.content.decode("utf-8", "replace")
        databases = Databases(rows.records, scoring.sql_field, script)
        for index, row in enumerate(rows.eval):
            databases.check(index, row.answer)
    return Settings(
        metrics=wanted,
        own=load_own(scoring.own, rows.records, storage, scratch),
        databases=databases,
        form=scoring.form,
        max_tokens=spec.generation.get("max_tokens"),
        against_base=scoring.base,
        harness_tasks=scoring.harness,
    )
