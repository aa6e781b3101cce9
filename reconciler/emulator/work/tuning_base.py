"""Models that a managed tuning starts from: one that was tuned before, and the teacher of a distillation.

A folder with an adapter is merged with its own base first, so that the next adapter has whole weights beneath it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from reconciler.emulator.work import objects
from reconciler.emulator.work.genai_rows import Turn

ADAPTER = "adapter_config.json"


def whole_base(base: str, target: str) -> str:
    """`base` itself, or the folder `target` in Cloud Storage with the whole weights of the adapter in `base`.

    Raises `UnreadableError` for an adapter that names no base.
    """
    folder = _here(base, "start")
    if not (folder / ADAPTER).is_file():
        return base
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    beneath = json.loads((folder / ADAPTER).read_text(encoding="utf-8")).get("base_model_name_or_path")
    if not beneath:
        raise objects.UnreadableError(f"{base}/{ADAPTER} names no base model")
    under = _here(str(beneath), "under")
    model = AutoModelForCausalLM.from_pretrained(under, dtype=torch.float32)
    whole = Path.cwd() / "whole"
    PeftModel.from_pretrained(model, folder).merge_and_unload().save_pretrained(whole)
    AutoTokenizer.from_pretrained(folder).save_pretrained(whole)
    objects.upload(whole, target)
    print(f"The adapter in {base} and its base {beneath} are one now: {target}", flush=True)  # noqa: T201
    return target


def answered(rows: list[list[Turn]], teacher: str) -> list[list[Turn]]:
    """The conversations, the last answer of each given by the teacher."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(teacher)
    model = AutoModelForCausalLM.from_pretrained(teacher, dtype=torch.float32).eval()
    found = []
    for turns in rows:
        asked = turns[:-1] if turns[-1]["role"] == "assistant" else turns
        prompt = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_tensors="pt", return_dict=True)
        with torch.no_grad():
            out = model.generate(**prompt, max_new_tokens=128, do_sample=False)
        text = tokenizer.decode(out[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True).strip()
        found.append([*asked, {"role": "assistant", "content": text or "-"}])
    return found


def _here(base: str, name: str) -> Path:
    """A folder of this disk with what is needed of `base`: itself when it lies here."""
    if not base.startswith("gs://"):
        return Path(base)
    folder = Path.cwd() / name
    if any(uri.endswith(f"/{ADAPTER}") for uri in objects.beneath(base)) or name == "under":
        objects.download(base, folder)
    return folder
