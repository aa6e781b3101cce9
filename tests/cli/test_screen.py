from __future__ import annotations

import io

from rich.text import Text

from reconciler.cli.screen import EVERY, Screen


def test_a_result_is_neither_wrapped_nor_coloured_where_there_is_no_terminal() -> None:
    out = io.StringIO()

    Screen(out=out, err=io.StringIO()).show(Text("x" * 300, "bold red"))

    assert out.getvalue() == "x" * 300 + "\n"


def test_a_newline_at_the_end_is_not_doubled() -> None:
    out = io.StringIO()

    Screen(out=out, err=io.StringIO()).show("one\n")

    assert out.getvalue() == "one\n"


def test_a_wait_is_told_now_and_then_where_there_is_no_terminal() -> None:
    err, clock = io.StringIO(), [100.0]
    screen = Screen(out=io.StringIO(), err=err, now=lambda: clock[0])

    for second in range(12):
        clock[0] = 100.0 + second
        screen.meanwhile(f"{second} s")

    assert err.getvalue() == "5 s\n10 s\n"
    assert EVERY == 5.0


def test_the_same_words_are_not_repeated() -> None:
    err, clock = io.StringIO(), [100.0]
    screen = Screen(out=io.StringIO(), err=err, now=lambda: clock[0])

    for second in range(30):
        clock[0] = 100.0 + second
        screen.meanwhile("waiting")

    assert err.getvalue() == "waiting\n"


def test_markup_in_a_result_is_printed_as_it_is() -> None:
    out = io.StringIO()

    Screen(out=out, err=io.StringIO()).show("[bold]a[/bold] :smile:")

    assert out.getvalue() == "[bold]a[/bold] :smile:\n"
