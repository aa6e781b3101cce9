"""Whether a file can be a `data.template`. It is parsed and never rendered: a pull request's template is only data."""

from __future__ import annotations

from schemas.row_template import EXAMPLE, SHAPES, WANTED


class BadRowTemplate(ValueError):
    """The text can be no row template: what is wrong in which line, and the way out."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


def check_row_template(shown: str, text: str) -> None:
    """Raise BadRowTemplate for what cannot be one; `shown` is what the template is called."""
    import jinja2
    from jinja2 import nodes
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment()
    try:
        parsed = environment.parse(text)
        environment.compile(parsed)
    except jinja2.TemplateSyntaxError as error:
        raise BadRowTemplate(
            f"{shown}:{error.lineno}: no jinja2 template: {error.message}", f"such as {EXAMPLE}"
        ) from None
    except (jinja2.TemplateError, RecursionError) as error:
        raise BadRowTemplate(f"{shown}: no jinja2 template: {error}", f"such as {EXAMPLE}") from None
    foreign = next(parsed.find_all((nodes.Include, nodes.Extends, nodes.Import, nodes.FromImport)), None)
    if foreign is not None:
        raise BadRowTemplate(
            f"{shown}:{foreign.lineno}: other files cannot be read from a template", "write it out here"
        )
    found = frozenset(node.name for node in parsed.find_all(nodes.Block))
    if found not in SHAPES:
        raise BadRowTemplate(f"{shown}: {WANTED}; it has {', '.join(sorted(found)) or 'none'}", f"such as {EXAMPLE}")
