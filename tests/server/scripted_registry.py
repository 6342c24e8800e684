"""A registry that does what a test says: it can be away, slow, and is asked twice without harm."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from server.domain.errors import Unavailable
from server.domain.metrics import MetricPoint
from server.domain.status import JobStatus
from server.registry.registry import RunFacts


@dataclass
class ScriptedRegistry:
    facts: dict[str, RunFacts] = field(default_factory=dict)
    points: defaultdict[str, dict[int, dict[str, float]]] = field(default_factory=lambda: defaultdict(dict))
    models: dict[str, Path] = field(default_factory=dict)
    versions: dict[str, list[str]] = field(default_factory=dict)
    finished: dict[str, JobStatus] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    broken: dict[str, int] = field(default_factory=dict)
    held: dict[str, asyncio.Event] = field(default_factory=dict)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    def fail(self, method: str, times: int = 1_000_000) -> None:
        self.broken[method] = times

    def mend(self) -> None:
        self.broken.clear()

    async def _meet(self, method: str) -> None:
        async with self.changed:
            self.calls.append(method)
            self.changed.notify_all()
        if method in self.held:
            await self.held[method].wait()
        if self.broken.get(method, 0) > 0:
            self.broken[method] -= 1
            raise Unavailable("the tracking server is away")

    async def _done(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    async def start_run(self, run: RunFacts) -> str:
        await self._meet("start_run")
        self.facts[f"mlflow-{run.job_id}"] = run
        await self._done()
        return f"mlflow-{run.job_id}"

    async def log_points(self, run_id: str, points: Sequence[MetricPoint]) -> None:
        await self._meet("log_points")
        for one in points:
            self.points[run_id][one.step] = dict(one.values)
        await self._done()

    async def log_model(self, run_id: str, artifact: Path) -> None:
        await self._meet("log_model")
        self.models[run_id] = artifact

    async def register(self, run_id: str, name: str, job_id: str) -> str:  # noqa: ARG002  (the port's)
        await self._meet("register")
        made = self.versions.setdefault(name, [])
        if job_id not in made:
            made.append(job_id)
        return str(made.index(job_id) + 1)

    async def finish(self, run_id: str, status: JobStatus) -> None:
        await self._meet("finish")
        self.finished[run_id] = status
        await self._done()
