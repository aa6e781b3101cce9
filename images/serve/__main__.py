"""`python -m images.serve --spec JSON`: the serving container's entry point."""

from __future__ import annotations

import sys

from images.serve.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
