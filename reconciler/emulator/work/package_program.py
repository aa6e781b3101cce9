"""The program of a Python package: `python -m reconciler.emulator.work.package_program MODULE URIS WORD...`.

Brings the packages from Cloud Storage, installs them into a folder of the job's, and runs the module in this Python.
What they need besides is not installed: it must be there. It knows Cloud Storage only as HTTP.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path


def main(argv: Sequence[str]) -> int:
    """Install, then become the module. Returns 1 when a package cannot be had."""
    module, uris, *words = argv
    folder = Path.cwd() / "packages"
    try:
        files = [_fetch(uri, folder) for uri in json.loads(uris)]
    except urllib.error.URLError as error:
        print(f"error: {error}", flush=True)  # noqa: T201 - its log is what it says
        return 1
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    install += ["--no-deps", "--no-build-isolation", "--target", str(folder / "site"), *map(str, files)]
    code = subprocess.run(install, check=False, env={**os.environ, "PIP_CONFIG_FILE": os.devnull}).returncode
    if code:
        return code
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(folder / "site"), os.environ.get("PYTHONPATH", "")]))
    return os.execv(sys.executable, [sys.executable, "-m", module, *words])


def _fetch(uri: str, folder: Path) -> Path:
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    where = f"{os.environ['STORAGE_EMULATOR_HOST']}/download/storage/v1/b/{bucket}/o/{urllib.parse.quote(name, '')}"
    try:
        with urllib.request.urlopen(f"{where}?alt=media") as answer:
            content = answer.read()
    except urllib.error.HTTPError as error:
        raise urllib.error.URLError(f"{uri} cannot be read: {error.code} {error.reason}") from None
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / name.rpartition("/")[2]
    kept.write_bytes(content)
    return kept


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
