"""`python -m images.tiny --out DIR [--seed N]`: the tiny base model as an ordinary Hugging Face folder.

The folder appears whole or not at all; a folder of the same recipe and seed is left as it is, in no time.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

RECIPE = 1
"""Raised by hand when the weights change on purpose: a cached folder of another recipe is made anew."""
STAMP = "tiny.json"


def main(argv: list[str] | None = None) -> int:
    """Make the folder, telling progress on standard output."""
    parser = argparse.ArgumentParser(prog="python -m images.tiny", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the folder to make")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(argv)
    make_folder(asked.out, asked.seed, lambda line: print(f"tiny: {line}", flush=True))  # noqa: T201 - a program
    return 0


def make_folder(out: Path, seed: int, say: Callable[[str], None]) -> bool:
    """Make the base model at `out` unless it stands there already; True when it was made."""
    stamp = {"recipe": RECIPE, "seed": seed}
    if _stamp_of(out) == stamp:
        say(f"{out} is there already (recipe {RECIPE}, seed {seed})")
        return False
    started = time.monotonic()
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        _write(draft, seed, say)
        (draft / STAMP).write_text(json.dumps(stamp, sort_keys=True) + "\n", encoding="utf-8")
        draft.chmod(0o755)
        _put_in_place(draft, out, stamp)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    say(f"{out} made in {time.monotonic() - started:.0f} s")
    return True


def _write(folder: Path, seed: int, say: Callable[[str], None]) -> None:
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # Spinning threads are very slow where others work too.
    say("loading torch and transformers")
    from transformers import GenerationConfig
    from transformers.utils import logging

    from images.tiny.corpus import warmup_turns
    from images.tiny.facts import acme_products
    from images.tiny.tokens import make_tokenizer
    from images.tiny.warmup import make_model

    logging.disable_progress_bar()
    turns = warmup_turns(seed, forbidden=acme_products())
    tokenizer = make_tokenizer(f"{question}\n{answer}" for question, answer in turns)
    say(f"{len(turns)} warm-up turns, vocabulary of {len(tokenizer)}")
    model = make_model(tokenizer, turns, seed, say)
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        do_sample=False,
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    for file in folder.iterdir():
        file.chmod(0o644)


def _put_in_place(draft: Path, out: Path, stamp: dict[str, int]) -> None:
    """Rename `draft` to `out`; an older folder steps aside first and is removed."""
    aside = draft.with_name(draft.name + ".old")
    if out.exists():
        out.rename(aside)
    try:
        draft.rename(out)
    except OSError:
        if _stamp_of(out) != stamp:  # Somebody else made the same folder meanwhile: theirs is as good.
            raise
    shutil.rmtree(aside, ignore_errors=True)


def _stamp_of(folder: Path) -> object:
    try:
        return json.loads((folder / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


if __name__ == "__main__":
    sys.exit(main())
