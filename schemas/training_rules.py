"""Rules about what is learnt: method, quantisation, training arguments, evaluation."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from difflib import get_close_matches
from typing import NamedTuple

from schemas import gate, methods
from schemas.effects import Effect
from schemas.experiment import Experiment
from schemas.finding import Finding
from schemas.keys import Keys, table


def method(it: Experiment) -> Iterator[Finding]:
    """`method: full` makes no adapter and quantises nothing."""
    if it.method == "full":
        for key in it.adapter:
            yield Finding(
                ("adapter", key),
                "method-full",
                f"`method: full` trains all weights and makes no adapter: `adapter.{key}` has no meaning",
                "Delete it, or write `method: lora`.",
            )
        for key in it.quantization:
            yield Finding(
                ("quantization", key),
                "method-full",
                "`method: full` cannot train quantised weights",
                "Delete the block, or write `method: qlora`.",
            )


def beginning(it: Experiment) -> Iterator[Finding]:
    """How an adapter begins."""
    adapter = it.adapter
    init = adapter.get("init_lora_weights")
    if (why := methods.refused_init(init)) is not None:
        yield Finding(
            ("adapter", "init_lora_weights"),
            "init",
            f"`init_lora_weights: {init}` cannot be obeyed: {why}",
            "Write true, gaussian, orthogonal, pissa, pissa_niter_4 or olora.",
        )
    elif methods.splits_base(init):
        if it.effective_quantization.get("load_in_4bit") or it.effective_quantization.get("load_in_8bit"):
            yield Finding(
                ("adapter", "init_lora_weights"),
                "init",
                f"`init_lora_weights: {init}` takes a part out of the base, and this base is quantised",
                "Write `method: lora`, or leave the way to begin to peft.",
            )
        spoilt = [key for key in ("rank_pattern", "alpha_pattern") if adapter.get(key) and adapter.get("use_rslora")]
        spoilt += [key for key in ("use_dora", "modules_to_save") if adapter.get(key)]
        for key in spoilt:
            yield Finding(
                ("adapter", key),
                "init",
                f"with `init_lora_weights: {init}` and `{key}` what was learnt is no ordinary LoRA",
                f"Delete `{key}`, or `init_lora_weights`.",
            )


def quantization(it: Experiment) -> Iterator[Finding]:
    """4 bits and qlora belong together; 4 and 8 bits exclude each other."""
    given, effective = it.quantization, it.effective_quantization
    four, eight = effective.get("load_in_4bit"), effective.get("load_in_8bit")
    if it.method == "qlora" and not four:
        yield Finding(
            ("quantization", "load_in_4bit"),
            "qlora-4bit",
            "`method: qlora` trains on a 4-bit base, and the block says `load_in_4bit: false`",
            "Delete the line, or write `method: lora`.",
        )
    if it.method == "lora" and four:
        yield Finding(
            ("quantization", "load_in_4bit"),
            "qlora-4bit",
            "LoRA on a 4-bit base is called `method: qlora` here",
            "Write `method: qlora` under `adapter`; it presets NF4 with double quantisation.",
        )
    if four and eight:
        yield Finding(
            ("quantization", "load_in_8bit"),
            "quantization",
            "a base is loaded in 4 bits or in 8, not both",
            "Keep one.",
        )
    if it.method != "full" and not four:
        for key in given:
            if key.startswith("bnb_4bit_"):
                yield Finding(
                    ("quantization", key),
                    "quantization",
                    f"`{key}` has no meaning without 4-bit weights",
                    "Write `method: qlora` under `adapter`, or delete it.",
                )


def training(it: Experiment) -> Iterator[Finding]:
    """What trl or transformers would refuse, or what would spoil the result."""
    training = it.training
    if training.get("bf16") and training.get("fp16"):
        yield Finding(("training", "fp16"), "precision", "bf16 and fp16 exclude each other", "Keep one of them.")
    if not it.data.judged:
        for key, off in (("eval_strategy", "no"), ("load_best_model_at_end", False), ("eval_on_start", False)):
            if training.get(key, off) != off:
                yield Finding(
                    ("training", key),
                    "eval-missing",
                    f"`{key}` needs rows to evaluate on",
                    "Name them in `data.eval`, or hold some back: `data.eval_fraction: 0.1`.",
                    absent=("data", "eval"),
                )
    best = training.get("load_best_model_at_end")
    if best and training.effective("eval_strategy") != training.effective("save_strategy"):
        yield Finding(
            ("training", "load_best_model_at_end"),
            "best-checkpoint",
            "the best checkpoint can only be chosen among those that are evaluated",
            "Give `eval_strategy` and `save_strategy` the same value.",
        )
    if training.get("assistant_only_loss") and it.data.format == "text":
        yield Finding(
            ("training", "assistant_only_loss"),
            "loss-mask",
            "plain text has no answers that the loss could be limited to",
            "Delete it, or use data with turns (`format: messages`).",
        )
    if training.get("assistant_only_loss") and training.get("completion_only_loss"):
        yield Finding(
            ("training", "completion_only_loss"),
            "loss-mask",
            "assistant_only_loss and completion_only_loss exclude each other",
            "Keep one of them.",
        )
    if training.get("packing") and "max_length" in training and training["max_length"] is None:
        yield Finding(
            ("training", "packing"), "packing", "packing fills sequences up to `max_length`, which is null", "Set it."
        )
    if training.get("packing") and training.get("packing_strategy") == "wrapped":
        yield Finding(
            ("training", "packing_strategy"),
            "packing",
            "`packing_strategy: wrapped` cuts rows and lets them see each other",
            "Delete it: trl's own, bfd, keeps every row whole and apart from the others.",
        )


def data(it: Experiment) -> Iterator[Finding]:
    """Keys of `data` that mean something only beside others."""
    rows, training = it.data, it.training
    if rows.default_context is not None and rows.format != "chat":
        yield Finding(
            ("data", "default_context"),
            "data-key",
            f"rows of `format: {rows.format}` have no context",
            "Write `format: chat`, or delete it.",
        )
    if rows.template is not None and "format" in rows.model_fields_set:
        yield Finding(
            ("data", "format"),
            "data-key",
            "`data.template` says what a row is, in place of `data.format`",
            "Delete one of them.",
        )
    if rows.eval is not None and rows.eval_fraction is not None:
        yield Finding(
            ("data", "eval_fraction"),
            "data-key",
            "eval rows are given in `data.eval`, or held back from the training rows, not both",
            "Delete one of them.",
        )
    if rows.eval_fraction is None and "eval_seed" in rows.model_fields_set:
        yield Finding(
            ("data", "eval_seed"), "data-key", "no rows are held back", "Write `eval_fraction`, or delete it."
        )
    if rows.on_bad_row == "fail" and "max_bad_rows" in rows.model_fields_set:
        yield Finding(
            ("data", "max_bad_rows"), "data-key", "the first bad row ends the run", "Write `on_bad_row: skip`."
        )
    if rows.on_long_row is not None and "max_length" in training and training["max_length"] is None:
        yield Finding(
            ("data", "on_long_row"), "data-key", "no row is too long: `training.max_length` is null", "Delete it."
        )
    if rows.on_long_row in ("fail", "drop") and "truncation_mode" in training:
        yield Finding(
            ("training", "truncation_mode"),
            "data-key",
            f"`on_long_row: {rows.on_long_row}` cuts no row",
            "Delete it, or write `on_long_row: truncate`.",
        )


def bounds(it: Experiment) -> Iterator[Finding]:
    """Numbers that a library would refuse."""
    blocks: list[tuple[tuple[str, ...], Keys]] = [(("adapter",), it.adapter), (("training",), it.training)]
    if it.serving is not None:
        blocks += [(("serving", "engine"), it.serving.engine), (("serving", "generation"), it.serving.generation)]
    for prefix, block in blocks:
        for key, value in block.items():
            bound = _BOUNDS.get(f"{prefix[-1]}.{key}")
            if bound is not None and isinstance(value, (int, float)) and not bound.holds(value):
                yield Finding((*prefix, key), "range", f"`{key}` must be {bound.words}; this is {value}")


class _Bound(NamedTuple):
    words: str
    holds: Callable[[float], bool]


_ABOVE_ZERO = _Bound("above 0", lambda x: x > 0)
_SHARE = _Bound("at least 0 and below 1", lambda x: 0 <= x < 1)
_ONE = _Bound("at least 1", lambda x: x >= 1)
_ZERO = _Bound("at least 0", lambda x: x >= 0)
_BOUNDS: dict[str, _Bound] = {
    **dict.fromkeys(("adapter.r", "adapter.lora_alpha"), _ONE),
    "adapter.lora_dropout": _SHARE,
    **dict.fromkeys(("training.learning_rate", "training.num_train_epochs", "training.max_length"), _ABOVE_ZERO),
    **dict.fromkeys(("training.warmup_steps", "training.weight_decay", "training.seed"), _ZERO),
    **dict.fromkeys(("training.per_device_train_batch_size", "training.per_device_eval_batch_size"), _ONE),
    "training.gradient_accumulation_steps": _ONE,
    **dict.fromkeys(("engine.max_model_len", "engine.tensor_parallel_size", "generation.max_tokens"), _ONE),
    "engine.gpu_memory_utilization": _Bound("above 0 and at most 1", lambda x: 0 < x <= 1),
    "generation.temperature": _ZERO,
    "generation.top_p": _Bound("above 0 and at most 1", lambda x: 0 < x <= 1),
}


def evaluation(it: Experiment) -> Iterator[Finding]:
    """Gates name metrics that are measured, on rows that there are."""
    named = it.evaluation.metrics
    own = tuple(it.evaluation.own)
    scored = set(named) & set(gate.SCORED) or own
    known = [*gate.ALWAYS, *named, *own, *((gate.STOPPED,) if scored else ())]
    measurable = (*gate.SCORED, *gate.ALWAYS, *own)
    yield from _own(it)
    yield from _sql(it)
    unknown = set(named) - set(measurable)
    meant = [name for name in known if name not in unknown]
    for index, name in enumerate(named):
        if name in unknown:
            yield Finding(
                ("evaluation", "metrics", index),
                "metric",
                f"nothing measures `{name}`",
                f"{_meant(name, measurable)}There are {', '.join(gate.SCORED)}; "
                f"always measured are {', '.join(gate.ALWAYS)}.",
            )
    if not it.data.judged:
        for key in ("metrics", "gate", "own", "machine"):
            if getattr(it.evaluation, key):
                yield Finding(
                    ("evaluation", key),
                    "eval-missing",
                    f"`{key}` needs rows to evaluate on",
                    "Name them in `data.eval`, or hold some back: `data.eval_fraction: 0.1`.",
                    absent=("data", "eval"),
                )
    for index, rule in enumerate(it.evaluation.gate):
        bound = rule.expression
        if bound.metric not in known and not _of_harness(bound.metric, it.evaluation.harness):
            yield Finding(
                ("evaluation", "gate", index),
                "gate-metric",
                f"nothing measures `{bound.metric}`",
                f"{_meant(bound.metric, meant)}Add it to `evaluation.metrics` ({', '.join(gate.SCORED)}); "
                f"always there are {', '.join(gate.ALWAYS)}.",
                absent=("evaluation", "metrics"),
            )
        elif rule.confidence is not None and bound.metric not in (*gate.PER_ROW, *own):
            yield Finding(
                ("evaluation", "gate", index, "confidence"),
                "gate-confidence",
                f"`{bound.metric}` is one number for all rows: there is nothing to draw samples from",
                f"Delete `confidence`, or bound one of {', '.join(gate.PER_ROW)}.",
            )
        elif rule.confidence is not None and bound.operator == "==":
            yield Finding(
                ("evaluation", "gate", index, "confidence"),
                "gate-confidence",
                "no mean of samples is equal to a number with any probability",
                "Write >= or <=, or delete `confidence`.",
            )


def sweep(it: Experiment) -> Iterator[Finding]:
    """A sweep tries keys that there are, is compared by what is measured, and runs on one kind of machine."""
    if it.sweep is None:
        return
    for path, one in it.sweep.parameters.items():
        block, _, key = path.partition(".")
        rows = table()[block].keys if block in ("training", "adapter") else {}
        where = ("sweep", "parameters", path)
        if key not in rows or rows[key].effect != Effect.RETRAIN:
            known = [f"{one}.{name}" for one in ("training", "adapter") for name in table()[one].keys]
            remedy = f"{_meant(path, known)}Name a key of `training` or `adapter` that changes what is learnt."
            yield Finding(where, "sweep", f"`{path}` cannot be tried", remedy)
        elif it.sweep.algorithm == "grid" and one.values is None and not one.whole:
            yield Finding(where, "sweep", "a grid cannot go through a range of fractions", "Write `values`.")
    by = tuple(name for name in (*gate.ALWAYS, *gate.SCORED) if name not in ("train_loss", gate.SQL))
    if it.sweep.metric not in by:
        yield Finding(
            ("sweep", "metric"),
            "sweep",
            f"trials cannot be compared by `{it.sweep.metric}`",
            f"{_meant(it.sweep.metric, by)}There are {', '.join(by)}.",
        )
    if it.method == "full" and any(path.startswith("adapter.") for path in it.sweep.parameters):
        yield Finding(("sweep", "parameters"), "sweep", "`method: full` has no adapter", "Try keys of `training`.")
    if len(it.run.scheduling.strategy) > 1 or it.run.regions:
        at = ("run", "regions") if it.run.regions else ("run", "scheduling", "strategy")
        yield Finding(at, "sweep", "a sweep runs on one kind of machine, in the target's region", "Name one strategy.")


def _own(it: Experiment) -> Iterator[Finding]:
    for name in it.evaluation.own:
        if name in (*gate.ALWAYS, *gate.SCORED, gate.STOPPED):
            yield Finding(
                ("evaluation", "own", name),
                "metric",
                f"`{name}` is a metric of Loraform's",
                "Give yours another name.",
            )


def _sql(it: Experiment) -> Iterator[Finding]:
    sql = it.evaluation.sql
    places = [key for key in ("field", "script") if getattr(sql, key) is not None]
    if len(places) > 1:
        yield Finding(
            ("evaluation", "sql", "script"), "sql", "the database is made by one script, not two", "Delete one of them."
        )
    if gate.SQL in it.evaluation.metrics and not places:
        yield Finding(
            ("evaluation", "metrics"),
            "sql",
            f"`{gate.SQL}` needs a database to run queries in",
            "Write `evaluation: {sql: {field: ...}}`, the field of a row with its script, or `sql: {script: FILE}`.",
            absent=("evaluation", "sql"),
        )
    if places and gate.SQL not in it.evaluation.metrics:
        yield Finding(("evaluation", "sql"), "sql", f"nothing asks for `{gate.SQL}`", f"Add `{gate.SQL}` to `metrics`.")


def _of_harness(metric: str, tasks: Collection[str]) -> bool:
    """Whether a task may measure it: `arc_easy_acc` of `arc_easy`."""
    return any(metric.startswith(f"{task.lower().replace('-', '_').replace('.', '_')}_") for task in tasks)


def _meant(name: str, known: Collection[str]) -> str:
    near = get_close_matches(name, known, 1, 0.6)
    return f"Did you mean `{near[0]}`? " if near else ""
