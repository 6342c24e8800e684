"""One run for each job, whatever goes wrong while it is submitted."""

import asyncio
from typing import Any

import pytest

from server.domain.errors import InvalidInput, Unavailable
from server.trainers.databricks.fmapi import submission
from server.trainers.databricks.fmapi.trainer import FmapiTrainer
from tests.server.trainers.attempts import attempts
from tests.server.trainers.databricks.fmapi.bench import GRAPHQL, TOKEN, Bench

FILES, EXPERIMENTS = "/api/2.0/fs/files/*", "/api/2.0/mlflow/experiments/*"
LOST: list[dict[str, Any]] = [
    {"kind": "timeout"},
    {"kind": "reset"},
    {"kind": "cut"},
    {"kind": "429", "retry_after": 0},
    {"kind": "error", "status": 500},
    {"kind": "error", "status": 503},
    {"kind": "html"},
    {"kind": "html", "status": 200},
    {"kind": "html", "status": 400},
    {"kind": "truncated"},
    {"kind": "graphql_error"},
    {"kind": "error", "status": 401},
]


def later(trainer: FmapiTrainer, job_id: str = "job_1") -> None:
    """As if the time had passed in which a run may still turn up."""
    trainer._submissions._doubts._since[job_id] -= submission.SETTLE_SECONDS


@pytest.mark.parametrize("fault", LOST, ids=str)
async def test_an_answer_that_is_lost_after_the_run_was_created_leads_to_that_run(
    bench: Bench, fault: dict[str, Any]
) -> None:
    trainer = bench.trainer()
    bench.databricks.faults.script(path=GRAPHQL, operation="CreateFinetune", after=True, **fault)
    with pytest.raises(Unavailable) as lost:
        await trainer.submit(bench.request("job_1"))
    assert TOKEN not in str(lost.value)
    assert len(bench.creations()) == len(bench.runs) == 1
    [run] = bench.runs
    assert await trainer.find("job_1") == run.name
    assert await bench.trainer().find("job_1") == run.name
    assert await bench.trainer().submit(bench.request("job_1")) == run.name
    assert len(bench.creations()) == 1


@pytest.mark.parametrize(
    "fault", [{"kind": "reset"}, {"kind": "429", "retry_after": 0}, {"kind": "error", "status": 503}], ids=str
)
async def test_a_creation_is_never_repeated_by_the_sdk(bench: Bench, fault: dict[str, Any]) -> None:
    patient = bench.workspace(repeat_seconds=20, longest_pause_seconds=5.0)
    bench.databricks.faults.script(path=GRAPHQL, operation="CreateFinetune", after=True, **fault)
    with pytest.raises(Unavailable):
        await bench.trainer(workspace=patient).submit(bench.request("job_1"))
    assert len(bench.creations()) == len(bench.runs) == 1


@pytest.mark.parametrize("fault", LOST, ids=str)
async def test_a_request_that_is_lost_is_sent_again_only_when_its_run_can_no_longer_turn_up(
    bench: Bench, fault: dict[str, Any]
) -> None:
    trainer = bench.trainer()
    bench.databricks.faults.script(path=GRAPHQL, operation="CreateFinetune", **fault)
    with pytest.raises(Unavailable):
        await trainer.submit(bench.request("job_1"))
    assert (len(bench.creations()), bench.runs) == (1, [])
    with pytest.raises(Unavailable, match="its experiment has no run, and may still get one"):
        await trainer.find("job_1")
    later(trainer)
    assert await trainer.find("job_1") is None
    name = await trainer.submit(bench.request("job_1"))
    assert [run.name for run in bench.runs] == [name]
    assert len(bench.creations()) == 2


async def test_another_server_waits_as_well_before_it_submits_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submission, "OTHERS_RUN_SECONDS", 0.1)
    bench.databricks.faults.script("reset", GRAPHQL, operation="CreateFinetune")
    with pytest.raises(Unavailable):
        await bench.trainer().submit(bench.request("job_1"))
    other = bench.trainer()
    for ask in (other.find("job_1"), other.submit(bench.request("job_1"))):
        with pytest.raises(Unavailable, match="may still get one"):
            await ask
    later(other)
    assert await other.find("job_1") is None
    servers = [other, *(bench.trainer() for _ in range(3))]
    answers = await asyncio.gather(
        *(server.submit(bench.request("job_1")) for server in servers), return_exceptions=True
    )
    assert bench.runs[0].name in answers
    assert len(bench.runs) == 1


async def test_a_server_that_was_stopped_after_its_search_creates_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submission, "SEND_SECONDS", -1.0)
    with pytest.raises(Unavailable, match="not submitted in time"):
        await bench.trainer().submit(bench.request("job_1"))
    assert bench.creations() == []


async def test_a_submission_that_is_given_up_in_the_middle_is_in_doubt(bench: Bench) -> None:
    trainer = bench.trainer(workspace=bench.workspace(request_seconds=5.0))
    bench.databricks.faults.script("timeout", GRAPHQL, operation="CreateFinetune", after=True)
    submitting = asyncio.create_task(trainer.submit(bench.request("job_1")))
    async with asyncio.timeout(10):
        while not bench.runs:  # noqa: ASYNC110  (the emulator sets no event)
            await asyncio.sleep(0.02)
    submitting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await submitting
    assert "job_1" in trainer._submissions._doubts
    assert await trainer.find("job_1") == bench.runs[0].name


@pytest.mark.parametrize("path", [FILES, EXPERIMENTS, "/api/2.0/workspace/mkdirs", "/api/2.0/fs/directories/*"])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "reset"},
        {"kind": "429"},
        {"kind": "error"},
        {"kind": "error", "status": 403},
        {"kind": "error", "status": 404},
        {"kind": "html"},
        {"kind": "html", "status": 404},
        {"kind": "feature_disabled"},
    ],
    ids=str,
)
async def test_trouble_on_the_way_to_the_run_is_over_when_it_is_over(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, path: str, fault: dict[str, Any], *, after: bool
) -> None:
    monkeypatch.setattr(submission, "OTHERS_RUN_SECONDS", 0.1)
    trainer = bench.trainer(settle=0.0)
    bench.databricks.faults.script(path=path, after=after, times=3, **fault)
    name, said = await attempts(lambda: trainer.submit(bench.request("job_1")))
    assert [run.name for run in bench.runs] == [name]
    assert TOKEN not in "".join(said)
    assert len(bench.creations()) == 1


async def test_an_outage_of_mlflow_is_no_proof_that_there_is_no_run(bench: Bench) -> None:
    trainer = bench.trainer()
    name = await trainer.submit(bench.request("job_1"))
    for fault in ({"kind": "html", "status": 404}, {"kind": "error", "status": 404}, {"kind": "reset"}):
        bench.databricks.faults.script(path=EXPERIMENTS, **fault)
        with pytest.raises(Unavailable):
            await trainer.find("job_1")
    bench.databricks.faults.script("error", GRAPHQL, operation="GetFinetunesPaginated", status=404)
    with pytest.raises(Unavailable):
        await trainer.find("job_1")
    assert await trainer.find("job_1") == name


async def test_a_run_that_somebody_deleted_is_not_started_again(bench: Bench) -> None:
    trainer = bench.trainer()
    name = await trainer.submit(bench.request("job_1"))
    bench.runs[0].deleted = True
    assert await trainer.find("job_1") == name


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "error", "status": 400, "message": "Bad run request: learningRate is too high"},
        {"kind": "graphql_error", "status": 500, "message": "Bad run request: learningRate is too high"},
        {"kind": "graphql_error", "status": "BAD_USER_INPUT", "message": "learningRate is too high"},
        {"kind": "graphql_error", "status": 400, "message": "learningRate is too high"},
    ],
    ids=str,
)
async def test_what_the_service_refuses_is_refused_with_its_words(bench: Bench, fault: dict[str, Any]) -> None:
    bench.databricks.faults.script(path=GRAPHQL, operation="CreateFinetune", **fault)
    with pytest.raises(InvalidInput, match="learningRate is too high"):
        await bench.trainer().submit(bench.request("job_1"))
    assert bench.runs == []


async def test_a_model_that_the_service_does_not_have_is_refused_before_anything_is_uploaded(bench: Bench) -> None:
    with pytest.raises(
        InvalidInput, match=r"FMAPI has no base model 'nobody/nothing'; it has meta-llama/Llama-3\.2-1B"
    ):
        await bench.trainer().submit(bench.request("job_1", "nobody/nothing"))
    assert bench.databricks.requests.to("PUT") == []


async def test_a_model_without_a_name_of_its_own_is_registered_beside_the_data(bench: Bench) -> None:
    await bench.trainer().submit(bench.request("job_1", register_as=None, config={"learning_rate": 1e-6}))
    [call] = bench.creations()
    config = call.body["variables"]["createFinetuneData"]["config"]
    assert config["experimentTracker"]["mlflow"]["modelRegistryPath"] == "main.ft"
    assert config["trainingDuration"] == "1ep"
    assert "contextLength" not in config
