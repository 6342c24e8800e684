"""The SDL in git: `python -m schema.sdl` writes it, `--check` fails when it is not what the code says."""

import argparse
import difflib
import sys
from pathlib import Path
from typing import Final

from schema.api import declare

FILE: Final = Path(__file__).parent / "schema.graphql"


def main() -> int:
    """Write or compare."""
    parser = argparse.ArgumentParser(prog="python -m schema.sdl", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare instead; exit status 1 on a difference")
    arguments = parser.parse_args()
    now = declare().as_str() + "\n"
    if not arguments.check:
        FILE.write_text(now, encoding="utf-8")
        return 0
    kept = FILE.read_text(encoding="utf-8") if FILE.exists() else ""
    difference = difflib.unified_diff(kept.splitlines(), now.splitlines(), str(FILE.name), "the code", lineterm="")
    lines = list(difference)
    sys.stderr.writelines(f"{line}\n" for line in lines)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
