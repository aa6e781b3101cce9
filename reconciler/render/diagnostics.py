"""Diagnostics as compilers print them: place, severity, what is wrong, and the way out on the next line."""

from __future__ import annotations

from collections.abc import Iterable

from rich.text import Text

from reconciler.core.errors import Diagnostic, Severity
from reconciler.render import words


def diagnostics_text(diagnostics: Iterable[Diagnostic]) -> Text:
    """All diagnostics in the order of their places, errors and warnings alike."""
    text = Text()
    for diagnostic in sorted(diagnostics, key=lambda item: (item.source, item.rule, item.message)):
        text.append(f"{words.clean(str(diagnostic.source))}: ", "bold")
        text.append(f"{diagnostic.severity}: ", "red" if diagnostic.severity is Severity.ERROR else "yellow")
        text.append(f"{words.clean(diagnostic.message)} [{diagnostic.rule}]\n")
        for line in diagnostic.remedy.splitlines():
            text.append(f"    {words.clean(line)}\n")
    return text


def tally(diagnostics: Iterable[Diagnostic]) -> str:
    """`2 errors, 1 warning`, or nothing when there are none."""
    found = [diagnostic.severity for diagnostic in diagnostics]
    parts = [(found.count(Severity.ERROR), "error"), (found.count(Severity.WARNING), "warning")]
    return ", ".join(f"{count} {word}{'s' * (count != 1)}" for count, word in parts if count)
