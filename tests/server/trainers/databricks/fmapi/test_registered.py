"""The version that the service registers by itself, found and given its alias."""

import asyncio
from typing import Any

import pytest

from server.domain.errors import Refused, Unavailable
from server.trainers.databricks import model_versions
from server.trainers.databricks.fmapi.trainer import FmapiTrainer
from server.trainers.trainer import Registering, TrainerJobId
from tests.server.trainers.attempts import attempts
from tests.server.trainers.databricks.fmapi.bench import GRAPHQL, MODEL, TOKEN, Bench

CATALOG = "/api/2.1/unity-catalog/*"


async def trained(
    bench: Bench, trainer: FmapiTrainer, job_id: str = "job_1", registration: str = "READY"
) -> TrainerJobId:
    bench.databricks.outcomes.script(job_id, registration=registration)
    name = await trainer.submit(bench.request(job_id))
    bench.advance(1.0)
    return name


def champion(bench: Bench) -> Any:  # noqa: ANN401  (the emulator's)
    return bench.databricks.world.registry.models[MODEL].aliases.get("champion")


def test_it_is_a_trainer_that_registers(bench: Bench) -> None:
    assert isinstance(bench.trainer(), Registering)


async def test_the_version_is_waited_for_and_gets_the_alias(bench: Bench) -> None:
    trainer = bench.trainer()
    name = await trainer.submit(bench.request("job_1"))
    with pytest.raises(Unavailable, match=r"there is no model main\.ft\.desk yet"):
        await trainer.registered(name, MODEL)
    bench.advance(1.0)
    with pytest.raises(Unavailable, match=r"version 1 of main\.ft\.desk is PENDING_REGISTRATION"):
        await trainer.registered(name, MODEL)
    assert champion(bench) is None
    bench.advance(0.2)
    assert await trainer.registered(name, MODEL) == "1"
    assert champion(bench) == 1
    assert await bench.trainer().registered(name, MODEL) == "1"


async def test_a_version_that_is_about_to_be_ready_is_waited_for(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_versions, "POLL_SECONDS", 0.01)
    trainer = bench.trainer(registering=30.0)
    name = await trained(bench, trainer)
    waiting = asyncio.create_task(trainer.registered(name, MODEL))
    async with asyncio.timeout(10):
        while len(bench.databricks.requests.to(path=CATALOG)) < 3:  # noqa: ASYNC110  (the emulator sets no event)
            await asyncio.sleep(0.01)
    assert not waiting.done()
    bench.advance(0.2)
    assert await waiting == "1"


async def test_each_run_has_the_version_that_came_of_it(bench: Bench) -> None:
    trainer = bench.trainer()
    names = [await trained(bench, trainer, job) for job in ("job_1", "job_2", "job_3")]
    bench.advance(0.2)
    assert [await trainer.registered(name, MODEL) for name in reversed(names)] == ["3", "2", "1"]
    other = await trained(bench, trainer, "job_4", "NONE")
    with pytest.raises(Unavailable, match=r"no version of main\.ft\.desk has come of"):
        await trainer.registered(other, MODEL)


async def test_a_version_without_a_run_is_found_by_where_its_files_came_from(bench: Bench) -> None:
    trainer = bench.trainer()
    name = await trained(bench, trainer)
    bench.advance(0.2)
    [version] = bench.databricks.world.registry.models[MODEL].versions.values()
    version.run_id = ""
    assert await trainer.registered(name, MODEL) == "1"


async def test_a_registration_that_failed_is_refused(bench: Bench) -> None:
    trainer = bench.trainer()
    name = await trained(bench, trainer, registration="FAILED_REGISTRATION")
    bench.advance(0.2)
    with pytest.raises(Refused, match=r"registering version 1 of main\.ft\.desk failed") as refused:
        await trainer.registered(name, MODEL)
    assert refused.value.code == "REGISTRATION_FAILED"


async def test_no_alias_is_set_when_none_is_wanted(bench: Bench) -> None:
    trainer = bench.trainer(alias="")
    name = await trained(bench, trainer)
    bench.advance(0.2)
    assert await trainer.registered(name, MODEL) == "1"
    assert champion(bench) is None


@pytest.mark.parametrize("path", [CATALOG, GRAPHQL])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "timeout"},
        {"kind": "reset"},
        {"kind": "cut"},
        {"kind": "429"},
        {"kind": "error"},
        {"kind": "error", "status": 403},
        {"kind": "error", "status": 404},
        {"kind": "html"},
        {"kind": "html", "status": 200},
        {"kind": "truncated"},
        {"kind": "unknown_status"},
        {"kind": "feature_disabled"},
    ],
    ids=str,
)
async def test_whatever_goes_wrong_the_version_is_found_when_it_is_over(
    bench: Bench, path: str, fault: dict[str, Any], *, after: bool
) -> None:
    trainer = bench.trainer()
    name = await trained(bench, trainer)
    bench.advance(0.2)
    bench.databricks.faults.script(path=path, after=after, **fault)
    version, said = await attempts(lambda: trainer.registered(name, MODEL))
    assert version == "1"
    assert len(said) <= 1
    assert TOKEN not in "".join(said)
    assert champion(bench) == 1


async def test_an_alias_that_may_not_be_set_is_said(bench: Bench) -> None:
    trainer = bench.trainer()
    name = await trained(bench, trainer)
    bench.advance(0.2)
    bench.databricks.faults.script("error", f"{CATALOG}/aliases/*", method="PUT", status=403)
    with pytest.raises(Refused, match="can't be read or given an alias: HTTP 403 PERMISSION_DENIED"):
        await trainer.registered(name, MODEL)
