"""Lists that are read page by page, and how long a page in their middle takes."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from statistics import median

from server.commands.demo.client import Client, Data
from tests.large.account import Promise

SPREAD = 2.0  # a page in the middle takes at most this many times what the first takes
TIMES = 20


@dataclass
class Listed:
    """A list of an object: the query for a page of it, and where the list stands in the answer."""

    client: Client
    query: str
    of: str
    path: tuple[str, ...]
    cursors: list[str | None] = field(default_factory=list)

    async def rows(self) -> AsyncIterator[Data]:
        """All of it, which leaves the cursor of each page in `cursors`."""
        after, more = None, True
        while more:
            self.cursors.append(after)
            page = await self._page(after)
            for row in page["nodes"]:
                yield row
            after, more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]

    async def as_quick(self, name: str) -> Promise:
        """That the page in the middle is as quick as the first, asked in turns."""
        middle = len(self.cursors) // 2
        first_took, middle_took = list[float](), list[float]()
        for _ in range(TIMES):
            first_took.append(await self._seconds(self.cursors[0]))
            middle_took.append(await self._seconds(self.cursors[middle]))
        first, later = median(first_took), median(middle_took)
        return Promise(
            f"Page {middle} of {name} is as quick as the first",
            later < SPREAD * first,
            f"{later * 1000:.1f} ms and {first * 1000:.1f} ms, {later / first:.2f} times",
        )

    async def _page(self, after: str | None) -> Data:
        found = await self.client.ask(self.query, id=self.of, after=after)
        for name in self.path:
            found = found[name]
        return found

    async def _seconds(self, after: str | None) -> float:
        began = time.monotonic()
        await self._page(after)
        return time.monotonic() - began
