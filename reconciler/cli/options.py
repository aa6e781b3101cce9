"""Arguments and options that several verbs take, in the same words everywhere."""

from __future__ import annotations

import typer

NAME = typer.Argument(help="The experiment.", show_default=False)
NAMES = typer.Argument(help="Only these experiments; nothing is removed then.", show_default=False, metavar="[NAME]...")
TARGET = typer.Option(help="A target of loraform.yaml. [default: its default_target]", show_default=False)
ALLOW_DELETE = typer.Option(help="Let this experiment lose something, whatever the limit.", show_default=False)
ALLOW_RUNS = typer.Option(help="Let this many trainings start, whatever the limit.", min=0, show_default=False)
ALLOW_ROLLS = typer.Option(
    help="Let another image roll this many deployments, whatever the limit.", min=0, show_default=False
)
PARALLELISM = typer.Option(help="Carry out so many changes at a time.", min=1, max=100, metavar="N")
YES = typer.Option("--yes", "-y", help="Do not ask.")
