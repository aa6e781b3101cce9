"""Runs the `run:` steps of a workflow in order, as a runner of GitHub Actions would, in a clone of a bare repository.

It knows what the workflows of this repository use: `if:` with comparisons, contexts, outputs, `always()`. Checkouts are
real clones; other actions are passed over, and the step that installs Loraform gets the command of this environment.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

LORAFORM = Path(sys.executable).with_name("loraform")
WORKFLOWS = Path(__file__).parents[2] / ".github/workflows"
_EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}")
_PATH = re.compile(r"'[^']*'|\b[a-z_]+(?:\.[A-Za-z_]+)+\b|&&|\|\||!(?!=)|always\(\)")


@dataclass
class Ran:
    """What became of one job."""

    ran: bool
    passed: bool = True
    log: str = ""
    summary: str = ""
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    environments: list[dict[str, str]] = field(default_factory=list)
    """Of each step."""
    files: dict[str, str] = field(default_factory=dict)
    """What lies in the runner's folder for temporary files."""


@dataclass
class Actions:
    """A repository on the code host, and its variables."""

    bare: Path
    api: str
    repository: str = "acme/models"
    variables: dict[str, str] = field(default_factory=dict)
    token: str = "bot-token"
    run_id: int = 0

    def run(self, workflow: str, job: str, event_name: str, event: Mapping[str, Any], sha: str) -> Ran:
        """One job of a workflow for one event. `sha` is what `github.sha` is."""
        self.run_id += 1
        document = yaml.safe_load((WORKFLOWS / f"{workflow}.yml").read_text())
        wanted = document["jobs"][job]
        github = {
            "event_name": event_name, "event": event, "repository": self.repository, "sha": sha, "token": self.token,
        }  # fmt: skip
        scope: dict[str, Any] = {
            "github": github, "inputs": event.get("inputs", {}), "vars": self.variables, "steps": {},
        }  # fmt: skip
        ran = Ran(ran=bool(evaluate(str(wanted.get("if", "true")), scope)))
        if not ran.ran:
            return ran
        with tempfile.TemporaryDirectory() as folder:
            self._steps(wanted, scope, Path(folder), ran)
        return ran

    def _steps(self, job: Mapping[str, Any], scope: dict[str, Any], folder: Path, ran: Ran) -> None:
        workspace, temporary = folder / "work", folder / "temp"
        temporary.mkdir()
        event = folder / "event.json"
        event.write_text(json.dumps(scope["github"]["event"]))
        scope["runner"] = {"temp": str(temporary)}
        for number, step in enumerate(job["steps"]):
            asked = str(step.get("if", "true"))
            if (not ran.passed and "always()" not in asked) or not evaluate(asked, scope):
                continue
            if "uses" in step:
                if step["uses"].startswith("actions/checkout@"):
                    ref = expanded(str(step["with"].get("ref", "")), scope)
                    self._checkout(workspace, ref or _ref_of(scope["github"]["event"]), scope["github"]["sha"])
                continue
            if step.get("name", "").startswith("Install Loraform"):
                (temporary / "loraform/bin").mkdir(parents=True)
                (temporary / "loraform/bin/loraform").symlink_to(LORAFORM)
                continue
            files = {name: folder / f"{name}.{number}" for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
            for path in files.values():
                path.touch()
            environment = {
                **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
                **{name: str(path) for name, path in files.items()},
                "GITHUB_ACTIONS": "true",
                "GITHUB_API_URL": self.api,
                "GITHUB_EVENT_PATH": str(event),
                "GITHUB_REPOSITORY": self.repository,
                "GITHUB_RUN_ATTEMPT": "1",
                "GITHUB_RUN_ID": str(self.run_id),
                "GITHUB_SHA": scope["github"]["sha"],
                "RUNNER_TEMP": str(temporary),
                **_environment(job, scope),
                **_environment(step, scope),
            }
            ran.environments.append(environment)
            done = subprocess.run(
                ["bash", "-e", "-c", step["run"]],
                cwd=workspace,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=600,
            )
            ran.log += done.stdout
            ran.summary += files["GITHUB_STEP_SUMMARY"].read_text()
            said = dict(line.split("=", 1) for line in files["GITHUB_OUTPUT"].read_text().splitlines())
            if "id" in step:
                scope["steps"][step["id"]] = {"outputs": said}
                ran.outputs[step["id"]] = said
            ran.passed = ran.passed and done.returncode == 0
        ran.files = {path.name: path.read_text() for path in temporary.iterdir() if path.is_file()}

    def _checkout(self, workspace: Path, ref: str, sha: str) -> None:
        """As the action does it: detached, with all branches, and nothing that says which is the default one."""
        shutil.rmtree(workspace, ignore_errors=True)
        workspace.mkdir()
        _git(workspace, "init", "--quiet")
        _git(workspace, "remote", "add", "origin", str(self.bare))
        _git(workspace, "fetch", "--quiet", "origin", "+refs/heads/*:refs/remotes/origin/*")
        if ref:
            _git(workspace, "fetch", "--quiet", "origin", f"+{ref}:refs/remotes/{ref.removeprefix('refs/')}")
        _git(workspace, "checkout", "--quiet", "--detach", f"refs/remotes/{ref.removeprefix('refs/')}" if ref else sha)


def _ref_of(event: Mapping[str, Any]) -> str:
    """What a checkout takes by itself: of a pull request its merge, which is its head here."""
    number = event.get("pull_request", {}).get("number")
    return f"refs/pull/{number}/head" if number else ""


def expanded(text: str, scope: Mapping[str, Any]) -> str:
    """A text with its `${{ }}`."""
    return _EXPRESSION.sub(lambda found: str(evaluate(found[1], scope)), text)


def evaluate(expression: str, scope: Mapping[str, Any]) -> Any:
    """An expression as GitHub has it: what is not there is the empty text."""

    def python(found: re.Match[str]) -> str:
        word = found[0]
        if word.startswith("'"):
            return repr(word[1:-1])
        return {"&&": " and ", "||": " or ", "!": " not ", "always()": "True"}.get(word) or f"of({word!r})"

    def of(path: str) -> Any:
        value: Any = scope
        for part in path.split("."):
            value = value.get(part, "") if isinstance(value, Mapping) else ""
        return value

    translated = _PATH.sub(python, expression.strip()).replace("true", "True") or "True"
    return eval(translated.strip(), {"__builtins__": {}}, {"of": of})


def _environment(part: Mapping[str, Any], scope: Mapping[str, Any]) -> dict[str, str]:
    return {name: expanded(str(value), scope) for name, value in part.get("env", {}).items()}


def _git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True, timeout=60)
