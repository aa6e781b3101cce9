"""Training: tokens per second of the trainer against `trl sft` and, where there is one, LLaMA-Factory; start-up.

The same thirty million parameters, rows and settings, one after the other in turns, on this machine's CPU. Time is what
each trainer itself says its training took; the ratio is that of the medians. `LLAMAFACTORY=PATH/llamafactory-cli`
names a LLaMA-Factory in an environment of its own.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from bench.timing import Figure

ROUNDS, STEPS, BATCH = 3, 8, 8
RATE = 2e-4
WORDS = (
    "the", "red", "book", "stands", "on", "a", "low", "shelf", "near", "an", "old", "green", "door", "and", "nobody",
    "has", "moved", "it", "since", "last", "spring",
)  # fmt: skip


class Ran(NamedTuple):
    """Seconds of the training alone, and of everything before its first step has ended (NaN where not told)."""

    seconds: float
    startup: float


def figures() -> Iterator[Figure]:
    """Tokens per second of each, the ratio, and the start-up."""
    with tempfile.TemporaryDirectory(prefix="loraform-bench-") as scratch:
        work = Path(scratch)
        _make_base(work / "base")
        tokens = _make_rows(work / "rows.jsonl", work / "base")
        trainers: dict[str, Callable[[Path, int], Ran]] = {"loraform": _ours, "trl": _trl}
        if os.environ.get("LLAMAFACTORY"):
            trainers["llamafactory"] = _llamafactory
        for train in trainers.values():
            train(work, -1)  # once, so that every import is warm
        ran: dict[str, list[Ran]] = {name: [] for name in trainers}
        for number in range(ROUNDS):
            for name, train in trainers.items():
                ran[name].append(train(work, number))
        speed = {name: [tokens / one.seconds for one in many] for name, many in ran.items()}
        for name, many in speed.items():
            yield {
                "figure": f"{name}: tokens per second",
                "median": round(statistics.median(many), 1),
                "min": round(min(many), 1),
                "max": round(max(many), 1),
            }
        ours, best = (
            statistics.median(speed["loraform"]),
            max(statistics.median(many) for name, many in speed.items() if name != "loraform"),
        )
        yield {"figure": "ratio to the best of the others", "ratio": round(ours / best, 3)}
        for name in ("loraform", "trl"):
            yield {
                "figure": f"{name}: from the start to the end of the first step",
                "median_s": round(statistics.median(one.startup for one in ran[name]), 2),
            }


def _ours(work: Path, number: int) -> Ran:
    spec = {
        "fleet": "bench",
        "experiment": "speed",
        "identity": f"{number + 1:064x}",
        "model": {"base": str(work / "base")},
        "data": {"train": str(work / "rows.jsonl"), "format": "prompt_completion"},
        "adapter": {"r": 16, "lora_alpha": 32},
        "training": {**_settings(), "logging_steps": 1},
        "output": {"record": str(work / f"ours-{number}.json"), "lock": str(work / "lock")},
    }
    words = [sys.executable, "-m", "images.train", "--spec", json.dumps(spec), "--out", str(work / "ours")]
    first, began = _until_first(words, lambda line: '"event": "step"' in line, Path.cwd())
    return Ran(float(json.loads((work / f"ours-{number}.json").read_text())["train_seconds"]), first - began)


def _trl(work: Path, number: int) -> Ran:
    config = {
        "model_name_or_path": str(work / "base"),
        "dtype": "float32",
        "datasets": [{"path": "json", "data_files": str(work / "rows.jsonl")}],
        "use_peft": True,
        "lora_r": 16,
        "lora_alpha": 32,
        "lora_dropout": 0.0,
        "lora_target_modules": "all-linear",
        **_settings(),
        "output_dir": str(work / "trl"),
        "bf16": False,
        "use_cpu": True,
        "gradient_checkpointing": False,
        "dataloader_pin_memory": False,
        "save_strategy": "no",
        "report_to": "none",
        "logging_steps": 1,
        "disable_tqdm": True,
    }
    (work / "trl.yaml").write_text(yaml.safe_dump(config))
    return _told([str(Path(sys.executable).with_name("trl")), "sft", "--config", str(work / "trl.yaml")], work)


def _llamafactory(work: Path, number: int) -> Ran:
    folder = work / "lf"
    folder.mkdir(exist_ok=True)
    rows = [json.loads(line) for line in (work / "rows.jsonl").read_text().splitlines()]
    turned = [{"instruction": row["prompt"], "input": "", "output": row["completion"]} for row in rows]
    (folder / "rows.json").write_text(json.dumps(turned))
    (folder / "dataset_info.json").write_text(json.dumps({"rows": {"file_name": "rows.json"}}))
    config = {
        "stage": "sft",
        "do_train": True,
        "finetuning_type": "lora",
        "model_name_or_path": str(work / "base"),
        "dataset": "rows",
        "dataset_dir": str(folder),
        "template": "empty",
        "cutoff_len": 256,
        "lora_rank": 16,
        "lora_alpha": 32,
        "lora_target": "all",
        **{key: value for key, value in _settings().items() if key != "max_length"},
        "output_dir": str(folder / "out"),
        "overwrite_output_dir": True,
        "disable_gradient_checkpointing": True,
        "save_strategy": "no",
        "report_to": "none",
        "logging_steps": 1,
        "disable_tqdm": True,
    }
    (folder / "sft.yaml").write_text(yaml.safe_dump(config))
    return _told([os.environ["LLAMAFACTORY"], "train", str(folder / "sft.yaml")], folder)


def _settings() -> dict[str, Any]:
    return {
        "max_steps": STEPS,
        "per_device_train_batch_size": BATCH,
        "learning_rate": RATE,
        "lr_scheduler_type": "constant",
        "max_length": 256,
        "seed": 1,
    }


def _told(words: list[str], folder: Path) -> Ran:
    """A trainer of transformers' kind: it tells its losses, and in the end its `train_runtime`."""
    told: list[str] = []

    def first(line: str) -> bool:
        told.append(line)
        return "'loss'" in line or '"loss"' in line

    at, began = _until_first(words, first, folder)
    found = re.search(r"train_runtime\W+([0-9.]+)", "".join(told))
    assert found is not None, "".join(told)[-2000:]
    return Ran(float(found[1]), at - began)


def _until_first(words: list[str], first: Callable[[str], bool], folder: Path) -> tuple[float, float]:
    """(when a line said that the first step was over, when the process was started); it must succeed."""
    began, at = time.perf_counter(), 0.0
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1", "CUDA_VISIBLE_DEVICES": ""}
    with subprocess.Popen(
        words, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as running:
        assert running.stdout is not None
        lines = []
        for line in running.stdout:
            lines.append(line)
            if first(line) and not at:
                at = time.perf_counter()
    assert running.returncode == 0, "".join(lines)[-3000:]
    return at, began


def _make_rows(path: Path, base: Path) -> int:
    """As many rows as all steps take, each once; the tokens in them."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base)
    rows, tokens = [], 0
    for number in range(STEPS * BATCH):
        asked = " ".join(WORDS[(number * 7 + at * at) % len(WORDS)] for at in range(60))
        answer = " ".join(WORDS[(number * 5 + at * 3) % len(WORDS)] for at in range(60))
        rows.append({"prompt": asked, "completion": f" {answer}"})
        tokens += len(tokenizer(f"{asked} {answer}")["input_ids"]) + 1
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tokens


def _make_base(folder: Path) -> None:
    """A random Llama of 29 million parameters with a small vocabulary."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=["<pad>", "<s>", "</s>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([" ".join(WORDS)] * 4, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>")
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=len(fast),
        hidden_size=512,
        intermediate_size=1536,
        num_hidden_layers=8,
        num_attention_heads=8,
        num_key_value_heads=8,
        bos_token_id=fast.bos_token_id,
        eos_token_id=fast.eos_token_id,
        pad_token_id=fast.pad_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    fast.save_pretrained(folder)
