from typing import Any

import pytest

from server.domain.errors import Refused, Unavailable
from server.trainers.databricks.ai_runtime.trainer import AiRuntimeTrainer
from server.trainers.trainer import TrainerJobId
from tests.server.trainers.databricks.ai_runtime.desk import EACH_KIND, REGISTERED, RUNS, UNITY_CATALOG, Desk, called


async def trained(desk: Desk, registration: str | None = None) -> tuple[AiRuntimeTrainer, TrainerJobId]:
    """A run that has succeeded, and registered its model."""
    trainer = desk.trainer()
    if registration is not None:
        desk.databricks.outcomes.script(registration=registration)
    name = await trainer.submit(desk.request(register_as=REGISTERED))
    desk.passes(1.2)
    return trainer, name


def alias(desk: Desk) -> int | None:
    return desk.databricks.world.registry.get(REGISTERED).aliases.get("champion")


async def test_the_version_of_this_run_is_found_among_others(desk: Desk) -> None:
    _, other = await trained(desk)
    trainer = desk.trainer()
    name = await trainer.submit(desk.request("job_2", register_as=REGISTERED))
    desk.passes(1.2)
    assert await trainer.registered(name, REGISTERED) == "2"
    assert await trainer.registered(other, REGISTERED) == "1"
    assert alias(desk) == 1


async def test_a_version_that_is_not_ready_is_waited_for(desk: Desk) -> None:
    trainer, name = await trained(desk, registration="PENDING_REGISTRATION")
    with pytest.raises(Unavailable, match=r"version 1 of .* is PENDING_REGISTRATION"):
        await trainer.registered(name, REGISTERED)
    assert alias(desk) is None


async def test_a_registration_that_failed_is_refused(desk: Desk) -> None:
    trainer, name = await trained(desk, registration="FAILED_REGISTRATION")
    with pytest.raises(Refused, match=r"registering version 1 of .* failed"):
        await trainer.registered(name, REGISTERED)
    assert alias(desk) is None


async def test_a_model_without_a_version_of_the_run_is_waited_for(desk: Desk) -> None:
    trainer, name = await trained(desk, registration="NONE")
    with pytest.raises(Unavailable):
        await trainer.registered(name, REGISTERED)
    await trainer.submit(desk.request("job_2", register_as=REGISTERED))
    desk.passes(1.2)
    with pytest.raises(Unavailable, match=r"no version of .* has come of the MLflow run"):
        await trainer.registered(name, REGISTERED)
    assert alias(desk) is None


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"{RUNS}/get"),
        ("GET", f"{RUNS}/get-output"),
        ("GET", f"{UNITY_CATALOG}/*/versions"),
        ("PUT", f"{UNITY_CATALOG}/*/aliases/*"),
    ],
)
@pytest.mark.parametrize("fault", EACH_KIND, ids=called)
async def test_what_stands_in_the_way_is_tried_again(desk: Desk, fault: dict[str, Any], method: str, path: str) -> None:
    trainer, name = await trained(desk)
    desk.databricks.faults.script(path=path, method=method, **fault)
    with pytest.raises((Unavailable, Refused)):  # both are tried again, until the time for it is over
        await trainer.registered(name, REGISTERED)
    assert await trainer.registered(name, REGISTERED) == "1"
    assert alias(desk) == 1
    assert list(desk.databricks.world.registry.get(REGISTERED).versions) == [1]
