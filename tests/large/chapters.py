"""Chapters of the story: what is measured while something happens."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from statistics import quantiles

from server.commands.demo.client import Client
from tests.large.account import Chapter
from tests.large.process import Server
from tests.large.watching import Memory, longest_pause, memory

SMALL = "query($id: ID!) { trainingSheet(id: $id) { name createdAt sheet { name } } }"
BETWEEN_QUESTIONS = 0.01  # seconds
SETTLING = 0.3  # seconds until the pauses of a chapter are written


@dataclass
class Book:
    """Collects chapters. `asked` is a small training sheet, which is asked for all the while."""

    server: Server
    client: Client
    memory: Memory
    asked: str = ""
    chapters: list[Chapter] = field(default_factory=list)

    @asynccontextmanager
    async def chapter(self, name: str) -> AsyncIterator["Other"]:
        """Measure what happens in the context."""
        other, answers = Other(), list[float]()
        self.memory.restart()
        asking = asyncio.create_task(self._ask(answers))
        began = time.monotonic()
        try:
            yield other
            ended = time.monotonic()
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        peak = self.memory.peak
        await asyncio.sleep(SETTLING)
        self.chapters.append(
            Chapter(
                name=name,
                seconds=ended - began,
                pause=longest_pause(self.server.pauses, began, ended),
                server=peak,
                other=other.peak(),
                usual=quantiles(answers, n=20)[-1] if len(answers) > 1 else 0.0,
                slowest=max(answers, default=0.0),
            )
        )

    async def _ask(self, answers: list[float]) -> None:
        while True:
            began = time.monotonic()
            await self.client.ask(SMALL, id=self.asked)
            answers.append(time.monotonic() - began)
            await asyncio.sleep(BETWEEN_QUESTIONS)


@dataclass
class Other:
    """A process beside the server that belongs to a chapter."""

    name: str = ""
    watched: Memory | None = None

    @contextmanager
    def at_work(self, name: str, pid: int) -> Iterator[None]:
        """Watch a process."""
        with memory(pid) as self.watched:
            self.name = name
            yield

    def peak(self) -> tuple[str, int] | None:
        return None if self.watched is None else (self.name, self.watched.peak)
