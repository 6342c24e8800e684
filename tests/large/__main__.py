"""`python -m tests.large`: tell the story, print what was measured, and end with 1 when a promise was broken."""

import asyncio
import sys

from tests.large.story import story

if __name__ == "__main__":
    sys.exit(0 if asyncio.run(story()) else 1)
