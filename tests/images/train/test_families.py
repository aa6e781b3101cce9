"""Each family's architecture with its own chat template: trained, merged, and served by a real vLLM."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from images.common.storage import fetch_folder
from tests.emulator_fixture import running_emulator
from tests.images.serve.test_server import started, wait_until_healthy
from tests.images.train.families import TRAINED, Family, make_base, make_tokenizer, stops

pytestmark = pytest.mark.heavy

IDENTITY = "ab" * 32
THINGS = ("red book", "lamp", "table", "book")
ASKED = [{"role": "user", "content": f"Where is the {THINGS[0]}?"}]
LENGTH = 24


@dataclass(frozen=True)
class Cloud:
    """An embedded Cloud Storage, and a folder that stands for this machine."""

    url: str
    folder: Path

    def program(self, spec: dict[str, Any], model_dir: str) -> dict[str, Any]:
        """Run the trainer on `spec`; its run record."""
        own = {"STORAGE_EMULATOR_HOST": self.url, "AIP_MODEL_DIR": model_dir, "LORAFORM_CACHE": str(self.folder / "c")}
        done = subprocess.run(
            [sys.executable, "-m", "images.train", "--spec", json.dumps(spec)],
            env={**os.environ, **own},
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return self.json(spec["output"]["record"])

    def json(self, uri: str) -> dict[str, Any]:
        bucket, _, name = uri.removeprefix("gs://").partition("/")
        found: dict[str, Any] = json.loads(self.client().bucket(bucket).blob(name).download_as_bytes())
        return found

    def client(self) -> Any:
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import storage

        return storage.Client("p", AnonymousCredentials(), client_options={"api_endpoint": self.url})


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    folder = tmp_path_factory.mktemp("families")
    with running_emulator(folder / "cloud", {}) as url:
        yield Cloud(url, folder)


@pytest.mark.parametrize("family", TRAINED, ids=lambda family: family.name)
def test_a_family_is_trained_merged_and_served(cloud: Cloud, family: Family) -> None:
    place = family.name.replace(".", "-")
    bucket = cloud.client().create_bucket(f"b-{place}")
    for file in make_base(family, cloud.folder / place).iterdir():
        bucket.blob(f"base/{file.name}").upload_from_filename(str(file))
    rows = [
        {"messages": [{"role": "user", "content": f"Where is the {thing}?"}, {"role": "assistant", "content": thing}]}
        for thing in THINGS
    ]
    bucket.blob("rows.jsonl").upload_from_string("".join(json.dumps(row) + "\n" for row in rows))
    home = f"gs://b-{place}"
    told: dict[str, Any] = {
        "fleet": "acme",
        "experiment": "shelves",
        "identity": IDENTITY,
        "model": {"base": f"{home}/base"},
        "data": {"train": f"{home}/rows.jsonl"},
        "adapter": {"r": 8, "lora_alpha": 16},
        "training": {"max_steps": 8, "per_device_train_batch_size": 4, "learning_rate": 0.02, "max_length": 128},
    }

    trained = cloud.program({**told, "output": _output(home, "t")}, f"{home}/adapter/")
    merged = cloud.program({**told, "output": _output(home, "m"), "merge": f"{home}/adapter"}, f"{home}/merged/")

    assert trained["sample"]["learnt"].strip().endswith(family.end)
    assert trained["sample"]["learnt"].removesuffix(family.end).strip().endswith(THINGS[0])
    assert merged["merged_from"] == f"{home}/adapter"
    golden = cloud.json(f"{home}/adapter/parity.json")["rows"][0]
    folder = fetch_folder(f"{home}/merged", cloud.folder / "got", client=cloud.client())
    wanted = greedy(folder, golden["prompt_ids"], stops(family, make_tokenizer(family)))
    serving = {"experiment": "shelves", "form": "full", "model": told["model"], "engine": {"max_model_len": 128}}
    with started(cloud.folder, serving, f"{home}/merged", STORAGE_EMULATOR_HOST=cloud.url) as server:
        wait_until_healthy(server)
        (said,) = server.predict({"messages": ASKED}, max_tokens=LENGTH, skip_special_tokens=True)
    assert said["usage"]["prompt_tokens"] == len(golden["prompt_ids"])
    assert said["generated_text"] == wanted


def greedy(folder: Path, prompt: list[int], ends: tuple[int, ...]) -> str:
    """What the model in `folder` says to a prompt, by transformers."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    ids = torch.tensor([prompt])
    with torch.no_grad():
        out = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=LENGTH,
            do_sample=False,
            eos_token_id=list(ends),
        )[0, len(prompt) :].tolist()
    end = next((at for at, token in enumerate(out) if token in ends), len(out))
    return str(AutoTokenizer.from_pretrained(folder).decode(out[:end], skip_special_tokens=True))


def _output(home: str, name: str) -> dict[str, str]:
    return {"record": f"{home}/runs/{name}.json", "lock": f"{home}/runs/{name}.lock"}
