"""How a run ends that cannot go on: one line with cause and remedy, an exit code per class, what was trained kept."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions as api

from images.train.failures import TrainingFailed, foreseen
from images.train.storage import translated
from tests.emulator_fixture import post
from tests.images.train.conftest import IDENTITY

pytestmark = pytest.mark.slow

CHAT = {"messages": [{"role": "user", "content": "Where?"}, {"role": "assistant", "content": "There."}]}


def ended(spec: dict[str, Any], emulator: str = "") -> tuple[int, str]:
    """Run the program; its exit code and its last line."""
    done = subprocess.run(
        [sys.executable, "-m", "images.train", "--spec", json.dumps(spec)],
        env={**os.environ, **({"STORAGE_EMULATOR_HOST": emulator} if emulator else {})},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout.splitlines()[-1]


def a_spec(home: str, base: Path, train: str, **more: Any) -> dict[str, Any]:
    return {
        "fleet": "acme",
        "experiment": "support",
        "identity": IDENTITY,
        "model": {"base": str(base)},
        "data": {"train": train},
        "output": {"record": f"{home}/r.json", "lock": f"{home}/r.lock"},
        **more,
    }


def test_a_bucket_that_is_not_there(emulator: str, tmp_path: Path) -> None:
    code, line = ended(a_spec("gs://nobody-has-this", tmp_path, "gs://nobody-has-this/rows.jsonl"), emulator)

    assert code == 15
    assert line == "error: gs://nobody-has-this/r.lock is not there. Check the bucket and the name."


def test_a_bucket_that_may_not_be_read(emulator: str, bucket: str, tmp_path: Path) -> None:
    name = bucket.removeprefix("gs://")
    order = {"match": {"method": "storage.*", "resource": f"*{name}*"}, "times": None, "effect": {"status": 403}}
    post(f"{emulator}/emulator/faults", order)

    code, line = ended(a_spec(bucket, tmp_path, f"{bucket}/rows.jsonl"), emulator)

    assert code == 12
    assert "not permitted" in line
    assert "Grant the run's service account roles/storage.objectAdmin on the bucket." in line


def test_a_base_without_a_chat_template(
    tmp_path: Path, make_tokenizer: Callable[..., Any], write_rows: Callable[..., Path], base: Path
) -> None:
    make_tokenizer(None).save_pretrained(base)
    (base / "chat_template.jinja").unlink(missing_ok=True)

    code, line = ended(a_spec(str(tmp_path), base, str(write_rows([CHAT]))))

    assert code == 10
    assert "has no chat template; give model.chat_template" in line


def test_rows_that_are_too_long(tmp_path: Path, write_rows: Callable[..., Path], base: Path) -> None:
    code, line = ended(a_spec(str(tmp_path), base, str(write_rows([CHAT])), training={"max_length": 4}))

    assert code == 10
    assert "tokens are more than training.max_length (4)" in line


@pytest.mark.parametrize(
    ("world", "code", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), 16, "Choose a machine with more disk."),
        (
            api.RetryError("Timeout of 120.0s exceeded", cause=OSError("refused")),
            15,
            "Check the network, then run again.",
        ),
        (api.Forbidden("no storage.objects.create"), 12, "roles/storage.objectAdmin"),
        (api.ServiceUnavailable("try again"), 15, "Run again"),
    ],
    ids=["full disk", "lost connection", "no permission", "service away"],
)
def test_what_the_world_says_while_something_is_written(world: Exception, code: int, said: str) -> None:
    with pytest.raises(TrainingFailed) as failed, translated("gs://b/o"):
        raise world

    assert failed.value.exit_code == code
    assert said in str(failed.value)
    assert foreseen(failed.value) is failed.value
