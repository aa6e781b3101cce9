"""Numbers as SVG paths: a loss curve, and shares of traffic over time. Only numbers go in, so only numbers come out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reconciler.core.lineage import Share

WIDTH, HEIGHT = 640, 180
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 12, 24
MOST = 240
"""Points of a line: more than can be told apart."""


@dataclass(frozen=True, slots=True)
class Plot:
    """Two lines in one frame; marks are (place, text)."""

    loss: str
    judged: str
    dots: tuple[tuple[str, str], ...]
    x_marks: tuple[tuple[str, str], ...]
    y_marks: tuple[tuple[str, str], ...]
    words: str


@dataclass(frozen=True, slots=True)
class Band:
    """One deployment's share over time, as a filled area."""

    path: str
    words: str
    tone: int


def loss_plot(loss: Sequence[tuple[float, float]], judged: Sequence[tuple[float, float]]) -> Plot | None:
    """The curve of a run; None where there are fewer than two points."""
    loss, judged = _finite(loss), _finite(judged)
    every = [*loss, *judged]
    if len(every) < 2:
        return None
    last, high = max(x for x, _ in every) or 1.0, max(y for _, y in every)
    low = min(0.0, *(y for _, y in every))
    high = high if high > low else low + 1.0

    def place(point: tuple[float, float]) -> tuple[float, float]:
        x = LEFT + point[0] / last * (WIDTH - LEFT - RIGHT)
        return x, TOP + (high - point[1]) / (high - low) * (HEIGHT - TOP - BOTTOM)

    thinned = loss[:: max(1, math.ceil(len(loss) / MOST))]
    dots = tuple((f"{x:.1f}", f"{y:.1f}") for x, y in map(place, judged[:MOST]))
    words = [f"The loss over {last:g} steps"]
    words += [f"goes from {loss[0][1]:.3g} to {loss[-1][1]:.3g}"] if loss else []
    words += [f"on held-out rows it ends at {judged[-1][1]:.3g}"] if judged else []
    return Plot(
        _line(map(place, thinned)),
        _line(map(place, judged[:MOST])),
        dots,
        tuple((f"{LEFT + part * (WIDTH - LEFT - RIGHT):.1f}", f"{last * part:.4g}") for part in (0, 0.5, 1)),
        tuple(
            (f"{TOP + part * (HEIGHT - TOP - BOTTOM):.1f}", f"{high - part * (high - low):.3g}") for part in (0, 0.5, 1)
        ),
        ", ".join(words) + ".",
    )


def traffic_bands(served: Sequence[tuple[str, Sequence[Share]]], until: float) -> tuple[Band, ...]:
    """Shares stacked over time, from the first one to `until` (seconds since the epoch)."""
    times = sorted({share.at for _, shares in served for share in shares})
    if not times or until <= times[0]:
        return ()
    times.append(until)
    span = until - times[0]
    floor, bands = [0.0] * (len(times) - 1), []
    for number, (stamp, shares) in enumerate(served):
        held = [_at(shares, at) for at in times[:-1]]
        top = [min(100.0, below + share) for below, share in zip(floor, held, strict=True)]
        xs = [LEFT + (at - times[0]) / span * (WIDTH - LEFT - RIGHT) for at in times]
        there = [(x, _y(y)) for i, y in enumerate(top) for x in (xs[i], xs[i + 1])]
        back = [(x, _y(y)) for i, y in reversed(list(enumerate(floor))) for x in (xs[i + 1], xs[i])]
        bands.append(Band(_line([*there, *back]) + "Z", f"{stamp[:6]}: now {held[-1]:g} %", number % 6))
        floor = top
    return tuple(bands)


def _at(shares: Sequence[Share], at: float) -> float:
    return float(next((share.percent for share in reversed(shares) if share.at <= at), 0))


def _y(percent: float) -> float:
    return TOP + (100 - percent) / 100 * (HEIGHT - TOP - BOTTOM)


def _finite(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    return sorted((x, y) for x, y in points if math.isfinite(x) and math.isfinite(y) and x >= 0)


def _line(points: Iterable[tuple[float, float]]) -> str:
    drawn = [f"{x:.1f} {y:.1f}" for x, y in points]
    return "M" + "L".join(drawn) if drawn else ""
