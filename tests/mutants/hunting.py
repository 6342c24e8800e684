"""What runs in a copy of the sources: documents until the first difference, whose number is printed."""

import asyncio
import json
import sys
from pathlib import Path

from schema.api import build
from tests.differential.compare import Difference
from tests.differential.material import Material
from tests.differential.operations import document
from tests.differential.running import DOCUMENTS, SEED
from tests.differential.sides import both


async def first_difference(url: str, material: Material) -> tuple[int, Difference] | None:
    """The number of the first document that is answered differently, among those of `make test`."""
    async with both(build(), url) as sides:
        for index in range(DOCUMENTS):
            drawn = document(SEED, index, material)
            for request in drawn.requests:
                found, _ = await sides.compared(drawn.text, request)
                if found is not None:
                    return index, found
    return None


def main() -> int:
    """0 whether or not there is a difference."""
    url, material = sys.argv[1], Material(**json.loads(Path(sys.argv[2]).read_text()))
    found = asyncio.run(first_difference(url, material))
    told = None if found is None else {"document": found[0], "difference": str(found[1])}
    sys.stdout.write(f"\n{json.dumps(told)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
