from __future__ import annotations

import math

from reconciler.core.lineage import Share
from reconciler.render.ledger.charts import MOST, loss_plot, traffic_bands


def test_a_curve_of_one_point_or_of_no_number_is_none() -> None:
    assert loss_plot([], []) is None
    assert loss_plot([(1, 2.0), (2, math.nan), (3, math.inf)], [(-1.0, 1.0)]) is None


def test_a_long_curve_is_thinned() -> None:
    plot = loss_plot([(float(n), 1.0 / n) for n in range(1, 20_000)], [])

    assert plot is not None
    assert plot.loss.count("L") < MOST
    assert plot.judged == ""


def test_a_flat_curve_has_a_frame() -> None:
    plot = loss_plot([(0.0, 0.0), (1.0, 0.0)], [])

    assert plot is not None
    assert "nan" not in plot.loss


def test_shares_are_stacked_until_now_and_never_beyond_the_whole() -> None:
    one = [Share(0.0, 100), Share(10.0, 40)]
    two = [Share(10.0, 90)]

    bands = traffic_bands([("a" * 20, one), ("b" * 20, two)], 20.0)

    assert [band.words for band in bands] == ["aaaaaa: now 40 %", "bbbbbb: now 90 %"]
    assert bands[0].path.startswith("M46.0 12.0L337.0 12.0L337.0 98.4")
    assert min(float(point.split(" ")[1]) for point in bands[1].path[1:-1].split("L")) == 12.0


def test_without_a_share_or_before_the_first_there_is_nothing_to_draw() -> None:
    assert traffic_bands([], 5.0) == ()
    assert traffic_bands([("a", [Share(9.0, 100)])], 5.0) == ()
