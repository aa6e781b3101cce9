"""One git command, run without prompts, locks or translated words. What its answer means is the caller's."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from reconciler.core.errors import LoraformError

PATIENCE = 300.0
"""Seconds after which git is taken not to answer; writing out a large tree takes some."""


def run_git(
    folder: Path, *arguments: str, settings: Mapping[str, str] = MappingProxyType({}), typed: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run git in `folder`, with further environment `settings` and `typed` as its input.

    A machine without git answers with exit code 127, like a plain folder. Raises LoraformError when git hangs.
    """
    command = ["git", "-C", str(folder), *arguments]
    surroundings = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", **settings}
    try:
        return subprocess.run(
            command,
            input=typed,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            env=surroundings,
            timeout=PATIENCE,
            check=False,
        )
    except FileNotFoundError:
        return subprocess.CompletedProcess(command, 127, "", "git is not installed")
    except subprocess.TimeoutExpired as error:
        raise LoraformError(f"git did not answer within {PATIENCE:.0f} s: git {' '.join(arguments)}") from error
