"""`python -m images.train --spec JSON | --spec-file PATH [--out DIR]`: train, or evaluate, what a `TrainingSpec` says.

The artifact goes where the spec says, else to `AIP_MODEL_DIR` (set by Vertex AI), to `--out`, or beside the run record.
Standard output holds the events of `progress.py`; the exit code is that of the failure's class (`failures.py`), 0 for a
trained model, also one that had been trained before, 1 for a fault of this program.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import traceback

from images.common.base_model import is_hub_id
from images.train.failures import Interrupted, SpecInvalid, TrainingFailed, foreseen
from images.train.hub import on_hub
from images.train.launcher import enter
from images.train.progress import Progress
from images.train.signals import Notice, Signalled
from images.train.storage import Storage
from images.train.trial import of_trial
from schemas.training_spec import TrainingSpec


def main(argv: list[str] | None = None) -> int:
    """Run, and turn every foreseen failure into one line and an exit code."""
    parser = argparse.ArgumentParser(prog="python -m images.train", description=__doc__)
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("--spec", help="the training spec as JSON")
    given.add_argument("--spec-file", help="a local path or gs:// address of the spec")
    parser.add_argument("--out", help="the artifact's folder where AIP_MODEL_DIR is not set")
    asked, further = parser.parse_known_args(argv)
    progress, storage, notice = Progress(sys.stdout), Storage(), Notice()
    try:
        notice.listen()
        spec = _spec(asked.spec, asked.spec_file, storage)
        _prepare_environment(spec)
        if spec.evaluation is not None and spec.evaluation.record is not None:
            from images.train.evaluate_again import evaluate_again

            evaluate_again(spec, spec.evaluation.record, progress, storage, os.environ)
            return 0
        folder = spec.output.artifact or os.environ.get("AIP_MODEL_DIR") or asked.out
        if spec.merge is not None:
            from images.train.merge import merge

            merge(spec, folder, progress, storage, os.environ)
            return 0
        ended = enter(os.environ, argv if argv is not None else sys.argv[1:])
        if ended is not None:
            return ended
        from images.train.run import run

        run(of_trial(spec, further, os.environ), folder, progress, storage, os.environ, notice)
    except Signalled as signalled:
        return _failed(progress, Interrupted(f"Interrupted by {signalled}", "Run again; nothing was recorded."))
    except Exception as error:
        failed = foreseen(error)
        if failed is None:
            traceback.print_exc()
            failed = TrainingFailed(
                f"The trainer itself failed: {type(error).__name__}: {error}", "Please report this, with the log."
            )
        return _failed(progress, failed)
    return 0


def _failed(progress: Progress, failed: TrainingFailed) -> int:
    progress.say("failed", cause=failed.cause, exit_code=failed.exit_code, message=str(failed))
    progress.error(str(failed))
    return failed.exit_code


def _spec(text: str | None, file: str | None, storage: Storage) -> TrainingSpec:
    from pydantic import ValidationError

    if text is None:
        assert file is not None
        found = storage.read(file)
        if found is None:
            raise SpecInvalid(f"{file} is not there", "Check --spec-file.")
        text = found.content.decode("utf-8", "replace")
    try:
        return TrainingSpec.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the spec"
        raise SpecInvalid(
            f"{where}: {first['msg']}", "The spec must be a schemas.training_spec.TrainingSpec."
        ) from error


def _prepare_environment(spec: TrainingSpec) -> None:
    """What the libraries read when they are first imported."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # Threads that spin while they wait slow a CPU training several times as soon as anything else wants the cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    named = [spec.model.base] + ([spec.model.tokenizer] if spec.model.tokenizer else [])
    rows = [spec.data.train, spec.data.eval or "", *(mixed.rows for mixed in spec.data.mix)]
    if not any(is_hub_id(name) for name in named) and not any(on_hub(uri) for uri in rows):
        os.environ["HF_HUB_OFFLINE"] = "1"


if __name__ == "__main__":
    sys.exit(main())
