"""Answers that are lost or refused while runs are observed and cancelled: none of them changes what a run is."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from server.domain.errors import Unavailable
from server.domain.status import RunState
from server.trainers.databricks.fmapi import observing
from tests.server.trainers.databricks.fmapi.bench import GRAPHQL, Bench, look

MLFLOW = "/api/2.0/mlflow/*"
LOST: list[dict[str, Any]] = [
    {"kind": "timeout"},
    {"kind": "reset"},
    {"kind": "cut", "after": True},
    {"kind": "429"},
    {"kind": "error", "status": 500},
    {"kind": "error", "status": 401},
    {"kind": "error", "status": 403},
    {"kind": "error", "status": 404},
    {"kind": "error", "status": 410},
    {"kind": "html"},
    {"kind": "html", "status": 200},
    {"kind": "truncated", "after": True},
    {"kind": "feature_disabled"},
    {"kind": "graphql_error"},
    {"kind": "graphql_error", "status": 404},
]


@pytest.mark.parametrize("fault", LOST, ids=str)
@pytest.mark.parametrize("operation", ["GetFinetunesPaginated", "StopFinetunes", "GetFinetuneEvents"])
async def test_no_answer_and_no_refusal_changes_what_a_run_is(
    bench: Bench, operation: str, fault: dict[str, Any]
) -> None:
    trainer = bench.trainer()
    name = await bench.started(trainer)
    before = await look(trainer, "job_1", name)
    asking: dict[str, Callable[[], Awaitable[object]]] = {
        "GetFinetunesPaginated": lambda: look(trainer, "job_1", name),
        "StopFinetunes": lambda: trainer.cancel(name),
        "GetFinetuneEvents": lambda: trainer.logs(name),
    }
    bench.databricks.faults.script(path=GRAPHQL, operation=operation, **fault)
    with pytest.raises(Unavailable):
        await asking[operation]()
    assert (await look(trainer, "job_1", name)).state is before.state is RunState.RUNNING
    await trainer.cancel(name)
    bench.advance(0.05)
    assert (await look(trainer, "job_1", name)).state is RunState.CANCELLED


@pytest.mark.parametrize("fault", [fault for fault in LOST if fault.get("status") not in {403, 404, 410}][:6], ids=str)
async def test_the_end_of_a_run_waits_for_its_metrics(bench: Bench, fault: dict[str, Any]) -> None:
    trainer = bench.trainer()
    name = await bench.started(trainer)
    bench.advance(0.6)
    bench.databricks.faults.script(path=MLFLOW, **fault)
    seen = await look(trainer, "job_1", name)
    assert (seen.state, seen.word, seen.points) == (RunState.RUNNING, "COMPLETED", ())
    seen = await look(trainer, "job_1", name)
    assert (seen.state, len(seen.points)) == (RunState.SUCCEEDED, 10)


async def test_metrics_that_this_server_may_not_read_do_not_hold_up_the_end(bench: Bench) -> None:
    trainer = bench.trainer()
    name = await bench.started(trainer)
    bench.advance(0.6)
    bench.databricks.faults.script("error", MLFLOW, status=403, times=None)
    seen = await look(trainer, "job_1", name)
    assert (seen.state, seen.points) == (RunState.SUCCEEDED, ())


async def test_the_end_of_a_run_does_not_wait_for_ever(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = bench.trainer()
    name = await bench.started(trainer)
    bench.advance(0.6)
    bench.databricks.faults.script("reset", MLFLOW, times=None)
    assert (await look(trainer, "job_1", name)).state is RunState.RUNNING
    monkeypatch.setattr(observing, "LATE_METRICS", 0.0)
    seen = await look(trainer, "job_1", name)
    assert (seen.state, seen.points) == (RunState.SUCCEEDED, ())
