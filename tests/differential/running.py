"""Running drawn documents against both sides, and counting what they were."""

from collections import Counter
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

from tests.differential.compare import leaves
from tests.differential.constructs import Construct
from tests.differential.material import Material
from tests.differential.operations import document
from tests.differential.sides import Sides, report
from tests.differential.smaller import smaller

SEED, DOCUMENTS = 7, 500  # what each run of the tests compares


@dataclass
class Tally:
    """What was run: documents, requests, and of these the ones with values in their answers or with errors."""

    documents: int = 0
    requests: int = 0
    with_values: int = 0
    with_errors: int = 0
    refused: list[str] = field(default_factory=list)
    drawn: Counter[Construct] = field(default_factory=Counter)

    def missing(self) -> list[str]:
        return [construct.value for construct in Construct if not self.drawn[construct]]


async def run(sides: Sides, material: Material, seed: int, indexes: Iterable[int], tally: Tally) -> AsyncIterator[str]:
    """Reports of differences, as they come; one for a document at most."""
    for index in indexes:
        drawn = document(seed, index, material)
        tally.documents += 1
        tally.drawn += drawn.drawn
        for place, request in enumerate(drawn.requests):
            found, answer = await sides.compared(drawn.text, request)
            tally.requests += 1
            tally.with_values += leaves(answer.get("data")) > 0
            tally.with_errors += "errors" in answer
            if "data" not in answer and not request.variables:
                tally.refused.append(f"{drawn.text}\n{answer}")
            if found is not None:
                text, found = await smaller(sides, drawn.text, request, found)
                yield report(drawn, place, text, found)
                break
