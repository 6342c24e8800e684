import asyncio
from typing import Any

import pytest

from server.domain import ids
from server.domain.errors import Unavailable
from server.domain.ids import Kind
from server.trainers.databricks import doubts
from server.trainers.databricks.ai_runtime import search
from tests.server.trainers.databricks.ai_runtime.desk import EACH_KIND, RUNS, Desk, called
from tests.waiting import until

LIST = f"{RUNS}/list"


async def test_a_lost_run_is_found_by_its_name(desk: Desk) -> None:
    desk.databricks.faults.script("reset", f"{RUNS}/submit", after=True)
    with pytest.raises(Unavailable):
        await desk.trainer().submit(desk.request())
    assert await desk.trainer(settle=60).find("job_1") == str(desk.runs()[0].run_id)


async def test_a_run_that_is_over_is_found_too(desk: Desk) -> None:
    trainer = desk.trainer()
    name = await trainer.submit(desk.request())
    desk.passes(1.1)
    assert await trainer.find("job_1") == name
    assert [dict(call.query).get("completed_only") for call in desk.asked("GET", LIST)] == [None, "true"]


async def test_a_run_is_found_behind_many_others(desk: Desk) -> None:
    trainer = desk.trainer()
    name = await trainer.submit(desk.request())
    for number in range(60):
        desk.databricks.world.training_runs.submit({**desk.runs()[0].given, "run_name": f"x-{number}"} | TOKENLESS, "y")
    assert await trainer.find("job_1") == name
    assert len(desk.asked("GET", LIST)) == 3


async def test_looking_for_a_run_starts_none(desk: Desk) -> None:
    assert await desk.trainer().find("job_1") is None
    assert desk.runs() == []
    assert desk.asked("POST", "*") == []


@pytest.mark.parametrize("fault", EACH_KIND, ids=called)
async def test_a_list_that_can_not_be_read_says_nothing(desk: Desk, fault: dict[str, Any]) -> None:
    trainer = desk.trainer()
    name = await trainer.submit(desk.request())
    desk.databricks.faults.script(path=LIST, **fault)
    with pytest.raises(Unavailable):
        await trainer.find("job_1")
    assert await trainer.find("job_1") == name


async def test_more_runs_than_can_be_looked_through_leave_it_open(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "MOST_PAGES", 2)
    trainer = desk.trainer()
    await trainer.submit(desk.request())
    for _ in range(60):
        desk.databricks.world.training_runs.submit({**desk.runs()[0].given, "run_name": "x"} | TOKENLESS, "y")
    with pytest.raises(Unavailable, match="more runs"):
        await trainer.find("job_1")


async def test_an_absence_is_certain_only_when_it_lasts(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(doubts, "monotonic", lambda: now)
    trainer = desk.trainer(settle=30)
    with pytest.raises(Unavailable) as early:
        await trainer.find("job_1")
    assert early.value.retry_after == 30
    now += 20
    with pytest.raises(Unavailable) as later:
        await trainer.find("job_1")
    assert later.value.retry_after == 10
    now += 10
    assert await trainer.find("job_1") is None
    with pytest.raises(Unavailable):
        await trainer.find("job_1")  # asked again, it is a new question


async def test_a_submission_that_is_under_way_may_still_become_a_run(desk: Desk) -> None:
    trainer = desk.trainer(desk.connected(request_seconds=30.0))
    desk.databricks.faults.script("timeout", f"{RUNS}/submit", after=True)
    submission = asyncio.create_task(trainer.submit(desk.request()))

    async def sent() -> bool:
        return bool(desk.runs())

    await until(sent)
    submission.cancel()
    await asyncio.gather(submission, return_exceptions=True)
    with pytest.raises(Unavailable, match="under way"):
        await trainer.find("job_1")
    desk.databricks.faults.clear()

    async def settled() -> bool:
        return not trainer._submitting

    await until(settled)
    assert await trainer.find("job_1") == str(desk.runs()[0].run_id)


async def test_runs_that_ended_before_the_job_was_made_are_not_looked_at(desk: Desk) -> None:
    job_id = ids.new(Kind.JOB)
    made = int(job_id.removeprefix("job_")[:12], 16)
    assert await desk.trainer().find(job_id) is None
    active, ended = (dict(call.query) for call in desk.asked("GET", LIST))
    assert "start_time_from" not in active
    assert int(ended["start_time_from"]) == made - 3_600_000


TOKENLESS: dict[str, Any] = {"idempotency_token": None}
