"""What the work on jobs needs: the database, trainers, the mirror, limits and threads."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from server.domain.errors import Unavailable
from server.domain.status import TrainerKind
from server.reconciler.mlflow_mirror import Mirror
from server.reconciler.timeouts import Limits
from server.storage.claims import Claim
from server.threads import Threads
from server.trainers.trainer import Placed, Registering, Trainer

EXPORTS_AT_ONCE = 2
THREADS = 4


@dataclass(frozen=True, slots=True)
class Runtime:
    """`exports` is the folder in which each job has one for its files.

    `exporting` keeps exports, each of which reads for as long as it takes, from using up the database connections.
    `files` are the threads of exports, `threads` those for observations with many points.
    """

    engine: AsyncEngine
    trainers: Mapping[TrainerKind, Trainer]
    mirror: Mirror
    exports: Path
    limits: Limits = field(default_factory=Limits)
    exporting: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(EXPORTS_AT_ONCE))
    files: Threads = field(default_factory=lambda: Threads(EXPORTS_AT_ONCE, "export"))
    threads: Threads = field(default_factory=lambda: Threads(THREADS, "reconciler"))

    def trainer(self, claim: Claim) -> Trainer:
        """The trainer of a job. Raises `Unavailable` when this server has none of its kind."""
        trainer = self.trainers.get(claim.trainer)
        if trainer is None:
            raise Unavailable(f"{trainer_name(claim.trainer)} is not configured on this server")
        return trainer

    async def lane(self, kind: TrainerKind) -> str:
        """The lane of the runs that a trainer of this server starts: those that this server can see."""
        trainer = self.trainers[kind]
        return f"{kind.value} {await trainer.place()}" if isinstance(trainer, Placed) else kind.value

    async def lanes(self) -> frozenset[str]:
        """The lanes of all jobs that this server can work on; jobs without a run are in those of their trainers."""
        return frozenset({kind.value for kind in self.trainers} | {await self.lane(kind) for kind in self.trainers})

    def mirrored(self, claim: Claim) -> bool:
        """Whether the job has an MLflow run of ours: not where its trainer keeps one itself."""
        return not isinstance(self.trainers.get(claim.trainer), Registering)

    def wake(self, claim: Claim) -> None:
        """Bring the job's run up to date soon."""
        if self.mirrored(claim):
            self.mirror.wake()


def trainer_name(kind: TrainerKind) -> str:
    """How messages speak of a trainer."""
    return f"the {kind} trainer"
