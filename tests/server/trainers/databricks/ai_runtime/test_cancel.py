from typing import Any

import pytest

from server.domain.errors import Unavailable
from server.domain.status import RunState
from server.trainers.trainer import TrainerJobId
from tests.server.trainers.databricks.ai_runtime.desk import LOST, OUTAGES, REFUSALS, RUNS, Desk, called, look, values

CANCEL = f"{RUNS}/cancel"


async def test_a_run_that_is_ending_is_not_said_to_be_anything_else(desk: Desk) -> None:
    trainer = desk.trainer()
    name = await trainer.submit(desk.request())
    desk.passes(0.15)
    await trainer.cancel(name)
    seen = await look(trainer, "job_1", name, events=1)
    assert (seen.state, seen.word) == (RunState.QUEUED, "TERMINATING")
    desk.passes(0.03)
    seen = await look(trainer, "job_1", name, events=1)
    assert (seen.state, seen.word, seen.error_code) == (RunState.CANCELLED, "TERMINATED CANCELED", None)


async def test_a_cancelled_run_keeps_what_it_had_logged(desk: Desk) -> None:
    trainer = desk.trainer()
    name = await trainer.submit(desk.request())
    desk.passes(0.6)
    await trainer.cancel(name)
    desk.passes(0.03)
    seen = await look(trainer, "job_1", name)
    assert len(desk.logged()) > 1
    assert values(seen.points) == desk.logged()


@pytest.mark.parametrize("fault", LOST, ids=called)
async def test_a_cancelled_run_does_not_wait_for_mlflow(desk: Desk, fault: dict[str, Any]) -> None:
    trainer = desk.trainer()
    name = await trainer.submit(desk.request())
    desk.passes(0.6)
    await trainer.cancel(name)
    desk.passes(0.03)
    desk.databricks.faults.script(path="/api/2.0/mlflow/*", times=None, **fault)
    assert (await look(trainer, "job_1", name)).state is RunState.CANCELLED


async def test_cancelling_a_run_that_is_over_changes_nothing(desk: Desk) -> None:
    trainer = desk.trainer()
    name = await trainer.submit(desk.request())
    desk.passes(1.1)
    await trainer.cancel(name)
    assert (await look(trainer, "job_1", name)).state is RunState.SUCCEEDED


@pytest.mark.parametrize("fault", [*OUTAGES, *REFUSALS, {"kind": "error", "status": 400}], ids=called)
async def test_a_cancel_that_was_lost_is_asked_again(desk: Desk, fault: dict[str, Any]) -> None:
    trainer = desk.trainer()
    name = await trainer.submit(desk.request())
    desk.passes(0.5)
    desk.databricks.faults.script(path=CANCEL, **fault)
    with pytest.raises(Unavailable):
        await trainer.cancel(name)
    ended = fault.get("after", False)
    assert (await look(trainer, "job_1", name)).state is (RunState.QUEUED if ended else RunState.RUNNING)
    await trainer.cancel(name)
    desk.passes(0.03)
    assert (await look(trainer, "job_1", name)).state is RunState.CANCELLED
    assert len(desk.runs()) == 1


async def test_a_run_that_nobody_knows_can_not_be_cancelled(desk: Desk) -> None:
    with pytest.raises(Unavailable, match="did not cancel the run 4242"):
        await desk.trainer().cancel(TrainerJobId("4242"))
