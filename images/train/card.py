"""The model card: what the artifact is, how it was made, and the lines that load it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from schemas.training_spec import TrainingSpec

FILE = "README.md"


def write_card(folder: Path, spec: TrainingSpec, metrics: Mapping[str, float], digest: str) -> None:
    """Write the card; again once there are metrics."""
    (folder / FILE).write_text(_card(spec, metrics, digest), encoding="utf-8")


def _card(spec: TrainingSpec, metrics: Mapping[str, float], digest: str) -> str:
    base = spec.model.base + (f" at {spec.model.revision}" if spec.model.revision else "")
    rows = "\n".join(f"| {name} | {value:.4g} |" for name, value in sorted(metrics.items()))
    kind = "Full fine-tuning" if spec.method == "full" else f"{spec.method.upper()} adapter"
    if spec.merge is not None:
        kind = "LoRA merged into a copy"
    return (
        f"# {spec.experiment}\n\n{kind} of `{base}`, trained by Loraform.\n\n"
        f"- Identity: `{spec.identity}`\n- Digest: `{digest}`\n"
        + (f"- Adapter: `{spec.merge}`\n" if spec.merge else f"- Data: `{spec.data.train}`\n")
        + (f"- Commit: `{spec.provenance.commit}`\n" if spec.provenance.commit else "")
        + (f"\n| metric | value |\n| --- | --- |\n{rows}\n" if rows else "")
        + f"\n## Use\n\n```python\n{_snippet(spec)}```\n"
    )


def _snippet(spec: TrainingSpec) -> str:
    """Python that loads the artifact from the folder where the card lies, and asks it something."""
    whole = spec.method == "full" or spec.merge is not None
    revision = f', revision="{spec.model.revision}"' if spec.model.revision else ""
    load = (
        'model = AutoModelForCausalLM.from_pretrained(".")\n'
        if whole
        else f'base = "{spec.model.base}"{"  # a copy of it on this disk" if "://" in spec.model.base else ""}\n'
        f'model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base{revision}), ".")\n'
    )
    imports = "" if whole else "from peft import PeftModel\n"
    return (
        f"{imports}from transformers import AutoModelForCausalLM, AutoTokenizer\n\n{load}"
        'tokenizer = AutoTokenizer.from_pretrained(".")\n'
        'question = [{"role": "user", "content": "Hello"}]\n'
        'asked = tokenizer.apply_chat_template(question, add_generation_prompt=True, return_tensors="pt", '
        "return_dict=True)\n"
        "answer = model.generate(**asked, max_new_tokens=64)\n"
        'print(tokenizer.decode(answer[0, asked["input_ids"].shape[1] :], skip_special_tokens=True))\n'
    )
