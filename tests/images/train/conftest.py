"""Tokenizers, tiny random models and the embedded Cloud Storage for the trainer's tests."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from images.train.progress import Progress
from images.train.storage import Storage
from tests.images.train.hub_server import Hub, running_hub

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

IDENTITY = "ab" * 32

MARKED = (
    "{{ bos_token }}{% for m in messages %}<|{{ m['role'] }}|>{% if m['role'] == 'assistant' %}{% generation %}"
    "{{ m['content'] }}<|end|>{% endgeneration %}{% else %}{{ m['content'] }}<|end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
PLAIN = MARKED.replace("{% generation %}", "").replace("{% endgeneration %}", "")
"""The same template, as most models ship theirs: without generation markers."""


@pytest.fixture(scope="session")
def make_tokenizer() -> Callable[..., Any]:
    """A small byte-level tokenizer with a chat template; `bos` adds BOS to plain text, as Llama's does."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    def make(template: str | None = PLAIN, *, bos: bool = True) -> Any:
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        special = ["<|pad|>", "<|begin|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>"]
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        tokenizer.train_from_iterator(
            ["Where is the red book? The red book is on the table."] * 3,
            trainers.BpeTrainer(vocab_size=320, special_tokens=special, initial_alphabet=alphabet, show_progress=False),
        )
        if bos:
            tokenizer.post_processor = processors.TemplateProcessing(
                single="<|begin|> $A", special_tokens=[("<|begin|>", tokenizer.token_to_id("<|begin|>"))]
            )
        fast = PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, bos_token="<|begin|>", eos_token="<|end|>", pad_token="<|pad|>"
        )
        fast.chat_template = template
        return fast

    return make


@pytest.fixture
def base(tmp_path: Path, make_tokenizer: Callable[..., Any]) -> Path:
    """A random Llama of forty thousand parameters as a Hugging Face folder."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = make_tokenizer()
    torch.manual_seed(1)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=128,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    folder = tmp_path / "base"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def heard() -> tuple[Progress, Callable[[], list[dict[str, Any]]]]:
    """A progress with a fixed clock, and the events that were said to it so far."""
    stream = io.StringIO()

    def events() -> list[dict[str, Any]]:
        lines = stream.getvalue().splitlines()
        return [json.loads(line.removeprefix("LORAFORM ")) for line in lines if line.startswith("LORAFORM ")]

    return Progress(stream, clock=lambda: 1000.0), events


@pytest.fixture
def write_rows(tmp_path: Path) -> Callable[..., Path]:
    """Write rows as JSONL and return the path."""

    def write(rows: list[Any], name: str = "train.jsonl") -> Path:
        path = tmp_path / name
        path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
        return path

    return write


@pytest.fixture(scope="session")
def emulator_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the embedded Vertex AI keeps everything, the logs of its jobs among it."""
    return tmp_path_factory.mktemp("emulator")


@pytest.fixture(scope="session")
def emulator(emulator_folder: Path) -> Iterator[str]:
    """The address of an embedded Vertex AI with Cloud Storage and Secret Manager, a process of its own."""
    folder = emulator_folder
    words = [sys.executable, "-m", "reconciler.emulator", "--port", "0", "--state", str(folder)]
    with (folder / "log").open("w") as log, subprocess.Popen(words, stdout=log, stderr=log) as server:
        card = folder / "server.json"
        for _ in range(600):
            if card.exists() or server.poll() is not None:
                break
            time.sleep(0.05)
        assert server.poll() is None, (folder / "log").read_text()
        yield json.loads(card.read_text())["url"]
        server.terminate()


@pytest.fixture
def bucket(emulator: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[str]:
    """A fresh bucket of this test, `gs://...`; Google's clients in this process are told of the emulator."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator)
    client = storage.Client(project="test", credentials=AnonymousCredentials())
    name = f"t-{abs(hash(request.node.nodeid)) % 10**12}-{time.time_ns()}"
    client.create_bucket(name)
    yield f"gs://{name}"
    client.close()


@pytest.fixture
def storage() -> Iterator[Storage]:
    """A storage whose client, if one was made, is closed afterwards."""
    found = Storage()
    yield found
    if found._client is not None:
        found._client.close()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A hub on this machine; what is fetched from it goes into this test's folder."""
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    yield from running_hub()
