"""`loraform`: finds the verb, runs it, and turns what it raises into one clear message and an exit code.

A verb is one module of this package with a function `run`; only the verb that is asked for is imported, so that
`loraform --help` is instant. What a verb does is decided there, not here.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from keyword import iskeyword
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

SECTIONS: Mapping[str, Mapping[str, str]] = {
    "The way of a model": {
        "init": "Scaffold a repository: project file, an example experiment, data.",
        "validate": "Check manifests; print every problem of every file.",
        "import": "Write a manifest from what is live, or from another trainer's recipe.",
        "plan": "Show what would be done, and do nothing.",
        "apply": "Do what can be done now; with --wait, until all is as git says.",
        "status": "Show what is live, experiment by experiment.",
    },
    "One experiment": {
        "logs": "Print the log of its training.",
        "explain": "Say why it failed, and give the patch that mends it.",
        "predict": "Ask the served model.",
        "pull": "Copy what it has learnt into a folder.",
        "cancel": "Cancel its running training.",
        "suspend": "Undeploy it and keep its endpoint.",
        "resume": "Deploy it again.",
        "destroy": "Delete everything of it that is live.",
        "pin": "Write the pins of its data and model into its manifest.",
    },
    "What git tells": {
        "diff": "Plan between two revisions, with no cloud at all.",
        "history": "Show the commits of an experiment, and what became of each.",
        "blame": "Show which commit answers requests right now.",
        "ledger": "Write the history of all experiments as a static site.",
    },
    "On a pull request": {
        "comment": "Write a plan or a report into the one comment, and the plan's id into a status.",
    },
    "In order": {
        "drift": "Show what was changed outside git.",
        "orphans": "List what is live and of no use.",
        "gc": "Remove it: shows a plan, does it with --yes.",
        "prune": "Delete artifacts that nobody needs, and say what that costs.",
    },
    "On this machine": {
        "up": "Start the embedded Vertex AI.",
        "down": "Stop it.",
        "quickstart": "From a manifest to a tuned answer in four minutes.",
    },
    "In need": {
        "unlock": "Break the lease of an apply that died.",
    },
}

_ERROR = 1
_INTERRUPTED = 130


class Verbs(TyperGroup):
    """The verbs of `SECTIONS`, each imported when it is used."""

    def list_commands(self, ctx: Any) -> list[str]:
        """All verbs, in the order of the help."""
        return [verb for verbs in SECTIONS.values() for verb in verbs]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The verb's command, or a usage error that names the nearest verb."""
        verbs = self.list_commands(ctx)
        if cmd_name not in verbs:
            near = get_close_matches(cmd_name, verbs, n=1)
            hint = f"Did you mean `loraform {near[0]}`?" if near else "See `loraform --help`."
            raise typer.BadParameter(f"there is no verb `{cmd_name}`. {hint}", ctx=ctx, param_hint="VERB")
        verb = typer.Typer(add_completion=False, rich_markup_mode=None)
        module = f"{cmd_name}_" if iskeyword(cmd_name) else cmd_name
        verb.command(cmd_name, context_settings=_CONTEXT)(import_module(f"reconciler.cli.{module}").run)
        return get_command(verb)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The help's lists of verbs, without importing a single one."""
        for section, verbs in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl(list(verbs.items()), col_spacing=4)


_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

app = typer.Typer(cls=Verbs, add_completion=True, rich_markup_mode=None, context_settings=_CONTEXT)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"loraform {version('loraform')}")
        raise typer.Exit


@app.callback(no_args_is_help=True, subcommand_metavar="VERB [ARGS]...")
def loraform(
    debug: bool = typer.Option(False, "--debug", envvar="LORAFORM_DEBUG", help="Show the traceback of an error."),
    version: bool = typer.Option(False, "--version", is_eager=True, callback=_version, help="Show the version."),
) -> None:
    """Make Vertex AI, or this machine, equal to what the manifests in experiments/ say."""


def main() -> None:
    """The `loraform` command."""
    code = run(sys.argv[1:])
    if code == _INTERRUPTED:
        # An orderly exit would wait for every thread with a request in flight.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run one command line and give its exit code; a usage error is 1, since 2 means "changes"."""
    debug = "--debug" in arguments or os.environ.get("LORAFORM_DEBUG", "") not in ("", "0")
    if "--debug" in arguments:
        # It is taken anywhere on the line: nobody retypes a failed command to put an option before the verb.
        arguments = ["--debug", *(argument for argument in arguments if argument != "--debug")]
    command = get_command(app)
    try:
        code = command.main(arguments, prog_name="loraform", standalone_mode=False)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except typer.Abort:
        print("Nothing was done.", file=sys.stderr)  # noqa: T201
        return _ERROR
    except Exception as error:
        if debug:
            raise
        return failed(error)
    return code if isinstance(code, int) else 0


def failed(error: Exception) -> int:
    """Print one clear message with the way out, and give the exit code of this class of error."""
    from reconciler.core.errors import LoraformError, Refused, Stale

    if hasattr(error, "show") and hasattr(error, "exit_code"):  # a usage error; typer keeps the class to itself
        error.show()
        return _ERROR
    if isinstance(error, BrokenPipeError):
        # The reader went away (`loraform plan | head`); say nothing, and keep the interpreter from trying at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _ERROR
    if isinstance(error, LoraformError):
        _show_diagnostics(error)
        _complain(f"error: {error.message}", *error.remedy.splitlines())
        return 3 if isinstance(error, Refused) else 4 if isinstance(error, Stale) else _ERROR
    if isinstance(error, OSError):
        _complain(f"error: {error}")
        return _ERROR
    _complain(
        f"error: {type(error).__name__}: {error}",
        "This is a fault of Loraform. Run it again with --debug and report the traceback.",
    )
    return _ERROR


def _show_diagnostics(error: Exception) -> None:
    """The problems behind an error about manifests; other errors have none."""
    diagnostics = getattr(error, "diagnostics", ())
    if diagnostics:
        from reconciler.cli.screen import Screen
        from reconciler.render.diagnostics import diagnostics_text

        Screen().note(diagnostics_text(diagnostics))


def _complain(first: str, *rest: str) -> None:
    typer.echo("\n".join([first, *(f"    {line}" for line in rest)]), err=True)
