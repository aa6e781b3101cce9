"""octoDNS, a tool of the same shape for DNS records, as a measure: YAML against YAML, nothing to change.

It is no dependency of ours: `.venv/bin/pip install octodns` (or have it in PATH), or its figures are left out.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

SYNC = Path(shutil.which("octodns-sync") or Path(sys.executable).with_name("octodns-sync"))
INSTALL = f"{Path(sys.executable).with_name('pip')} install octodns"

CONFIG = """\
providers:
  git: {class: octodns.provider.yaml.YamlProvider, directory: FOLDER/git}
  live: {class: octodns.provider.yaml.YamlProvider, directory: FOLDER/live}
zones:
  bench.test.: {sources: [git], targets: [live]}
"""


def command(folder: Path, records: int) -> list[str]:
    """Write two equal zones and give the command line that compares them."""
    text = "".join(
        f"bot-{n:06}:\n  ttl: 300\n  type: A\n  value: 10.0.{n // 250 % 250}.{n % 250}\n" for n in range(records)
    )
    for side in ("git", "live"):
        (folder / side).mkdir(parents=True)
        (folder / side / "bench.test.yaml").write_text(text)
    (folder / "config.yaml").write_text(CONFIG.replace("FOLDER", str(folder)))
    return [str(SYNC), "--config-file", str(folder / "config.yaml")]
