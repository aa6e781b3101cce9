"""How what a person will feel of a plan reads in plain words: machine time, answers, the address."""

from __future__ import annotations

from reconciler.core.impact import Answers, Home, Impact
from reconciler.render.progress import duration

SHOWN = 6
"""Hex digits of an identity that are shown."""
_HOUR = 3600.0


def cost(impact: Impact) -> str:
    """The machine time of the run that starts, as far as anything tells; empty when nothing is trained.

    A run without accelerators costs what the machine costs: its time is told instead.
    """
    if not impact.runs:
        return ""
    parts = []
    if impact.lasted is not None:
        spent = _time(impact.lasted, impact.lasted_on)
        parts.append(f"about {spent}, as run {impact.lasted_as[:SHOWN]} took")
    if impact.longest:
        parts.append(f"at most {_time(impact.longest, impact.accelerators)} by its timeout")
    if not parts and impact.accelerators:
        parts.append(f"{_accelerators(impact.accelerators)} for as long as it takes: no run before it, no timeout")
    return "; ".join(parts)


def spent(impact: Impact) -> str:
    """The machine time of the run that starts in few words, for a column: `about 0.7 GPU h (at most 6.0 GPU h)`."""
    if not impact.runs:
        return ""
    most = _time(impact.longest, impact.accelerators) if impact.longest else ""
    if impact.lasted is not None:
        return f"about {_time(impact.lasted, impact.lasted_on)}" + (f" (at most {most})" if most else "")
    if most:
        return f"at most {most}"
    return f"{_accelerators(impact.accelerators)}, no limit" if impact.accelerators else "no limit"


def answers(impact: Impact) -> str:
    """What becomes of the requests, where a person would ask; empty where nothing was answered before."""
    match impact.answers:
        case Answers.GAP:
            return "answers nothing from when the old one goes until the new one is ready"
        case Answers.END:
            return "stops answering"
        case Answers.GO_ON if impact.beside:
            return f"no interruption; {_accelerators(impact.beside)} more while both stand"
        case Answers.GO_ON:
            return "no interruption"
        case _:
            return ""


def home(impact: Impact) -> str:
    """What becomes of the address."""
    return {Home.KEPT: "same address", Home.NEW: "new address", Home.GONE: "its address goes", Home.NONE: ""}[
        impact.home
    ]


def _time(seconds: float, accelerators: int) -> str:
    if not accelerators:
        return duration(seconds)
    hours = seconds * accelerators / _HOUR
    return f"{hours:.1f} GPU h" if hours >= 0.1 else f"{duration(seconds * accelerators)} of GPU time"


def _accelerators(count: int) -> str:
    return f"{count} accelerator{'s' * (count != 1)}"
