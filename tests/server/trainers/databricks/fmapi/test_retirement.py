"""When FMAPI is gone from a workspace, and when it only seems so."""

from typing import Any

import pytest

from server.domain.errors import InvalidInput, Refused, Unavailable
from server.trainers.databricks.fmapi.trainer import FmapiTrainer
from tests.server.trainers.databricks.fmapi.bench import CONFIG, GRAPHQL, TOKEN, Bench

GONE = [
    {"kind": "feature_disabled"},
    {"kind": "feature_disabled", "status": 404},
    {"kind": "graphql_error", "status": "FEATURE_DISABLED"},
    {"kind": "error", "status": 410},
    {"kind": "graphql_error", "status": 410},
    {"kind": "html", "status": 410},
]
PERHAPS = [
    {"kind": "error", "status": 403},
    {"kind": "error", "status": 404},
    {"kind": "html", "status": 404},
    {"kind": "graphql_error", "status": 403},
]


async def refusal(bench: Bench, trainer: FmapiTrainer | None = None) -> Exception:
    with pytest.raises((Refused, Unavailable)) as refused:
        await (trainer or bench.trainer()).submit(bench.request("job_1"))
    assert TOKEN not in str(refused.value)
    return refused.value


@pytest.mark.parametrize("fault", GONE, ids=str)
async def test_a_plain_word_that_it_is_gone_is_enough(bench: Bench, fault: dict[str, Any]) -> None:
    bench.databricks.faults.script(path=GRAPHQL, operation="CreateFinetune", **fault)
    gone = await refusal(bench)
    assert isinstance(gone, Refused)
    assert gone.code == "TRAINER_UNAVAILABLE"
    assert "AI_RUNTIME" in gone.message
    assert "retired in this workspace" in gone.message
    assert len(bench.creations()) == 1


@pytest.mark.parametrize("fault", PERHAPS, ids=str)
async def test_a_refusal_is_taken_for_that_when_reading_is_refused_too(bench: Bench, fault: dict[str, Any]) -> None:
    bench.databricks.faults.script(path=GRAPHQL, times=None, **fault)
    gone = await refusal(bench)
    assert isinstance(gone, Refused)
    assert gone.code == "TRAINER_UNAVAILABLE"


@pytest.mark.parametrize("fault", PERHAPS, ids=str)
async def test_not_when_reading_works(bench: Bench, fault: dict[str, Any]) -> None:
    bench.databricks.faults.script(path=GRAPHQL, operation="CreateFinetune", **fault)
    assert isinstance(await refusal(bench), Unavailable)


@pytest.mark.parametrize("second", [{"kind": "reset"}, {"kind": "error"}, {"kind": "error", "status": 404}], ids=str)
async def test_not_when_reading_fails_in_another_way(bench: Bench, second: dict[str, Any]) -> None:
    bench.databricks.faults.script("error", GRAPHQL, operation="CreateFinetune", status=403)
    bench.databricks.faults.script(path=GRAPHQL, operation="Models", times=None, **second)
    assert isinstance(await refusal(bench), Unavailable)


async def test_not_when_the_workspace_itself_does_not_answer(bench: Bench) -> None:
    bench.databricks.faults.script("error", GRAPHQL, times=None, status=403)
    bench.databricks.faults.script("error", "/api/2.0/preview/scim/v2/Me", times=None, status=403)
    assert isinstance(await refusal(bench), Unavailable)


@pytest.mark.parametrize("fault", [*GONE, *PERHAPS], ids=str)
async def test_a_run_that_goes_on_is_not_lost_when_fmapi_is_gone(bench: Bench, fault: dict[str, Any]) -> None:
    trainer = bench.trainer()
    bench.databricks.faults.script("reset", GRAPHQL, operation="CreateFinetune", after=True)
    assert isinstance(await refusal(bench, trainer), Unavailable)
    bench.databricks.faults.script(path=GRAPHQL, times=4, **fault)
    with pytest.raises(Unavailable):
        await trainer.find("job_1")
    bench.databricks.faults.clear()
    assert await trainer.find("job_1") == bench.runs[0].name


async def test_the_models_that_were_listed_are_kept_while_there_is_no_answer(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = bench.trainer()
    bench.databricks.faults.script("error", GRAPHQL, operation="Models", status=404)
    with pytest.raises(Unavailable):
        await trainer.base_models()
    models = await trainer.base_models()
    bench.databricks.requests.clear()
    assert await trainer.base_models() == models
    assert len(bench.databricks.requests) == 0
    monkeypatch.setattr("server.trainers.databricks.fmapi.catalogue.FRESH_SECONDS", 0.0)
    bench.databricks.faults.script("reset", GRAPHQL, operation="Models", times=None)
    assert await trainer.base_models() == models
    assert len(bench.databricks.requests) == 1
    with pytest.raises(InvalidInput, match="must be a whole number from 8 to 131072"):
        trainer.validate(models[0].name, {**CONFIG, "max_seq_length": 131_073})
