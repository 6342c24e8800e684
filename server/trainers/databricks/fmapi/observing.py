"""Looking at many runs of FMAPI at once: one list request, and more only for runs that have changed since.

What a run logs to MLflow is read when its entry in the list differs from the one at the last reading, or when what was
read then has not been recorded. The newest step waits until another follows or the run has ended: what is measured
on the held-out examples comes later than the rest of its step.
"""

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from server.databricks.errors import ApiError
from server.databricks.workspace import Workspace
from server.domain.errors import Unavailable
from server.domain.metrics import MetricPoint
from server.domain.status import RunState
from server.trainers.databricks.fmapi import runs
from server.trainers.databricks.fmapi.metrics import TOKENS, named
from server.trainers.databricks.fmapi.newest import Allowance, Unread, conclude
from server.trainers.databricks.fmapi.progress import progress
from server.trainers.databricks.fmapi.runs import ENDED, Finetune
from server.trainers.databricks.mlflow_runs import Newest, RunMetrics, metrics, newest
from server.trainers.trainer import Observation, RunHandle

READERS: Final = 4  # at once: half of what the workspace takes, so that nobody else has to wait for them
READING: Final = 10.0  # seconds of a look for metrics; runs that are not reached in them are next time
LATE_METRICS: Final = 300.0  # seconds for which the end of a run waits until its metrics can be read
FORGET_AFTER: Final = 3600.0
UNKNOWN_REQUESTS: Final = 6  # for a run of which no search tells how many metrics it has

Signature = tuple[str, datetime | None, int]


@dataclass(frozen=True, slots=True)
class Seen:
    """What is remembered of a run. `asked_at` is when its metrics were last wanted, `last_step` what was told then.

    `newest` are the last values that a search has told.
    """

    signature: Signature | None
    asked_at: float
    last_step: int | None = None
    unread_since: float | None = None
    newest: Newest | None = None


class Observer:
    """What runs are doing, with a memory of the last look."""

    def __init__(self, workspace: Workspace, now: Callable[[], datetime], histories_per_second: float) -> None:
        self._workspace = workspace
        self._allowance = Allowance(histories_per_second)
        self._now = now
        self._seen: dict[str, Seen] = {}

    async def observe(self, handles: Sequence[RunHandle]) -> dict[str, Observation]:
        """Observations by job id. A run that the list does not have is left out: nothing is known of it."""
        if not handles:
            return {}
        found = await runs.named(self._workspace, [handle.trainer_job_id for handle in handles])
        there = [(handle, found[handle.trainer_job_id]) for handle in handles if handle.trainer_job_id in found]
        read = await self._read_changed(there)
        now = self._now()
        self._forget({run.name for _, run in there})
        return {handle.job_id: self._observation(run, read.get(run.name), now) for handle, run in there}

    async def _read_changed(self, there: Sequence[tuple[RunHandle, Finetune]]) -> dict[str, RunMetrics]:
        """The metrics of runs that have changed, as many as can be read in time; those that waited longest first."""
        wanted = [(handle, run) for handle, run in there if self._has_changed(handle, run)]
        wanted.sort(key=lambda pair: (pair[1].status not in ENDED, self._last(pair[1].name).asked_at))
        read, unread = await self._search(wanted)
        readers = asyncio.Semaphore(READERS)

        async def one(handle: RunHandle, run: Finetune, values: Newest | None) -> None:
            async with readers:
                found = await self._metrics(handle, run, values)
            if found is not None:
                read[run.name] = found

        tasks = [asyncio.create_task(one(*each)) for each in unread]
        try:
            if tasks:
                await asyncio.wait(tasks, timeout=READING)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return read

    async def _search(
        self, wanted: Sequence[tuple[RunHandle, Finetune]]
    ) -> tuple[dict[str, RunMetrics], list[tuple[RunHandle, Finetune, Newest | None]]]:
        """What one search tells of runs; and those whose history is to be read now."""
        there = {run.mlflow_run_id: run.experiment_id for _, run in wanted if run.started_at is not None}
        known: Mapping[str, Newest]
        try:
            known = await newest(self._workspace, {run: at for run, at in there.items() if run and at}, within=READING)
        except ApiError:
            known = {}  # each is read by itself then, as far as that is allowed
        except Unavailable:
            return {}, [(handle, run, None) for handle, run in wanted if not self._misses(handle, run)]
        read: dict[str, RunMetrics] = {}
        unread: list[tuple[RunHandle, Finetune, Newest | None]] = []
        for handle, run in wanted:
            values = known.get(run.mlflow_run_id or "")
            before = self._last(run.name).newest
            told: RunMetrics | Unread = Unread(UNKNOWN_REQUESTS)
            if values is not None:
                told = conclude(handle.after_step, before, values, ended=run.status in ENDED)
            if isinstance(told, RunMetrics):
                read[run.name] = self._remember(handle, run, told, values)
            elif self._may_read(run, told):
                unread.append((handle, run, values))
        return read, unread

    def _may_read(self, run: Finetune, unread: Unread) -> bool:
        """Whether the history may be read now: at any time once the run has ended, which nobody should wait for."""
        if run.status in ENDED or run.mlflow_run_id is None or run.started_at is None:
            return True  # at once, or without a request
        return self._allowance.take(unread.requests, time.monotonic())

    async def _metrics(self, handle: RunHandle, run: Finetune, values: Newest | None) -> RunMetrics | None:
        """A run's metrics; None when they could not be read now."""
        signature: Signature | None = _signature(run)
        found: RunMetrics | None = None
        if run.mlflow_run_id is not None and run.started_at is not None:
            try:
                found = await metrics(
                    self._workspace, run.mlflow_run_id, handle.after_step, named=named, within=READING
                )
            except ApiError:
                found = RunMetrics((), {})  # not for this server to read, or deleted
            except Unavailable:
                signature = None
        if found is not None and signature is not None:
            return self._remember(handle, run, found, values)
        if signature is None:
            self._misses(handle, run)
        else:
            self._seen[run.name] = Seen(signature, time.monotonic(), handle.after_step)
        return found

    def _misses(self, handle: RunHandle, run: Finetune) -> bool:
        """Note that a run's metrics could not be read, unless it can't have any."""
        if run.mlflow_run_id is None or run.started_at is None:
            return False
        since = self._last(run.name).unread_since or time.monotonic()
        self._seen[run.name] = Seen(None, time.monotonic(), handle.after_step, since)
        return True

    def _remember(self, handle: RunHandle, run: Finetune, read: RunMetrics, values: Newest | None) -> RunMetrics:
        """What is to be told of what was read."""
        told = _told(read.points, run)
        last_step = told[-1].step if told else handle.after_step
        self._seen[run.name] = Seen(_signature(run), time.monotonic(), last_step, newest=values)
        return replace(read, points=told)

    def _has_changed(self, handle: RunHandle, run: Finetune) -> bool:
        seen = self._last(run.name)
        unrecorded = seen.last_step is not None and (handle.after_step is None or handle.after_step < seen.last_step)
        return seen.signature != _signature(run) or unrecorded

    def _last(self, name: str) -> Seen:
        return self._seen.get(name, Seen(None, 0.0))

    def _forget(self, asked: set[str]) -> None:
        """Runs that nobody asks for any longer."""
        long_ago = time.monotonic() - FORGET_AFTER
        for name in [name for name, seen in self._seen.items() if name not in asked and seen.asked_at < long_ago]:
            del self._seen[name]

    def _observation(self, run: Finetune, read: RunMetrics | None, now: datetime) -> Observation:
        far = progress(run, now)
        state = run.state
        if run.status in ENDED and self._waits_for_metrics(run):
            state = RunState.QUEUED if run.started_at is None else RunState.RUNNING
        tokens = read.latest.get(TOKENS) if read else None
        failed = state is RunState.FAILED
        return Observation(
            state=state,
            word=run.status,
            progress_percent=far.percent,
            current_epoch=far.epoch,
            total_epochs=far.epochs,
            points=read.points if read else (),
            tokens_processed=int(tokens) if tokens is not None and math.isfinite(tokens) else None,
            training_duration_seconds=_seconds(run),
            events=run.events,
            estimated_end=far.estimated_end,
            mlflow_run_id=run.mlflow_run_id,
            error_code="TRAINING_FAILED" if failed else None,
            message=_reason(run) if failed or state is RunState.CANCELLED else None,
        )

    def _waits_for_metrics(self, run: Finetune) -> bool:
        """Whether the end of a run is told later, because MLflow is away."""
        seen = self._last(run.name)
        if seen.signature == _signature(run):
            return False
        return seen.unread_since is None or time.monotonic() - seen.unread_since < LATE_METRICS


def _signature(run: Finetune) -> Signature:
    return run.status, run.updated_at, len(run.events)


def _told(points: Sequence[MetricPoint], run: Finetune) -> tuple[MetricPoint, ...]:
    return tuple(points) if run.status in ENDED else tuple(points[:-1])


def _seconds(run: Finetune) -> float | None:
    """From the start to the end, or to the last that was heard."""
    until = run.completed_at or run.updated_at
    return (until - run.started_at).total_seconds() if run.started_at and until and until >= run.started_at else None


def _reason(run: Finetune) -> str | None:
    """Why a run ended: what the service says, or else the last event that tells of a failure."""
    return run.reason or next((event.message for event in reversed(run.events) if event.bad and event.message), None)
