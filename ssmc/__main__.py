"""`python -m ssmc` is `ssmc`."""

from __future__ import annotations

import sys

from ssmc.cli import main

if __name__ == "__main__":
    sys.exit(main())
