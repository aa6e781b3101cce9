"""`python -m images.serve --spec JSON`: the serving container's entry point."""

from __future__ import annotations

import os
import sys

from images.serve.main import main

if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    # Everything is stopped. The interpreter's own end would bury the last line of the log under native libraries'
    # complaints about each other.
    os._exit(code)
