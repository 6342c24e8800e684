"""What every trainer does, whichever it is. An adapter's tests subclass `TrainerContract` and say how to make one."""

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

import pytest

from server.domain.errors import InvalidInput
from server.domain.status import RunState
from server.trainers.trainer import Observation, RunHandle, Trainer, TrainerJobId, TrainingRequest
from tests.waiting import until

ENDED = {RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED}


class Subject(Protocol):
    """An adapter under test, with the other side that it talks to."""

    base_model: str
    refused_config: Mapping[str, Any]
    refused_key: str

    def trainer(self) -> Trainer:
        """An adapter as a server makes it when it starts: another one, over the same other side."""
        ...

    def request(self, job_id: str, base_model: str | None = None) -> TrainingRequest:
        """A request for a run that lasts until it is cancelled."""
        ...


async def look(trainer: Trainer, job_id: str, name: TrainerJobId) -> Observation:
    return (await trainer.observe([RunHandle(job_id, name)]))[job_id]


async def until_ended(trainer: Trainer, job_id: str, name: TrainerJobId) -> Observation:
    async def ended() -> bool:
        return (await look(trainer, job_id, name)).state in ENDED

    await until(ended)
    return await look(trainer, job_id, name)


class TrainerContract:
    async def test_lists_what_it_can_train_under_its_own_kind(self, subject: Subject) -> None:
        trainer = subject.trainer()
        models = await trainer.base_models()
        assert subject.base_model in [model.name for model in models]
        assert len({model.name for model in models}) == len(models)
        assert {model.trainer for model in models} == {trainer.kind}

    def test_takes_an_empty_configuration_and_keys_that_it_does_not_know(self, subject: Subject) -> None:
        trainer = subject.trainer()
        trainer.validate(subject.base_model, {})
        trainer.validate(subject.base_model, {"colour": ["blue"]})

    def test_refuses_a_base_model_that_it_does_not_have(self, subject: Subject) -> None:
        with pytest.raises(InvalidInput) as refusal:
            subject.trainer().validate("nobody/nothing", {})
        assert refusal.value.path == ("input", "baseModel")

    def test_refuses_a_configuration_and_says_which_key(self, subject: Subject) -> None:
        with pytest.raises(InvalidInput) as refusal:
            subject.trainer().validate(subject.base_model, subject.refused_config)
        assert refusal.value.path == ("input", "trainingConfig", subject.refused_key)

    async def test_a_refused_submission_leaves_no_run(self, subject: Subject) -> None:
        trainer = subject.trainer()
        with pytest.raises(InvalidInput):
            await trainer.submit(subject.request("job_refused", base_model="nobody/nothing"))
        assert await trainer.find("job_refused") is None

    async def test_submitting_twice_is_one_run(self, subject: Subject) -> None:
        trainer = subject.trainer()
        first = await trainer.submit(subject.request("job_1"))
        assert await trainer.submit(subject.request("job_1")) == first
        assert await subject.trainer().submit(subject.request("job_1")) == first

    async def test_submitting_at_once_from_two_servers_is_one_run(self, subject: Subject) -> None:
        trainers = [subject.trainer() for _ in range(2)] * 4
        names = await asyncio.gather(*(trainer.submit(subject.request("job_1")) for trainer in trainers))
        assert len(set(names)) == 1

    async def test_a_run_is_found_after_a_crash_between_submitting_and_recording(self, subject: Subject) -> None:
        name = await subject.trainer().submit(subject.request("job_1"))
        later = subject.trainer()
        assert await later.find("job_1") == name
        assert (await look(later, "job_1", name)).state not in ENDED

    async def test_a_run_that_was_never_submitted_is_not_found(self, subject: Subject) -> None:
        trainer = subject.trainer()
        assert await trainer.find("job_none") is None
        await trainer.submit(subject.request("job_1"))
        assert await trainer.find("job_none") is None

    async def test_many_runs_are_observed_at_once(self, subject: Subject) -> None:
        trainer = subject.trainer()
        jobs = [f"job_{number}" for number in range(5)]
        handles = [RunHandle(job, await trainer.submit(subject.request(job))) for job in jobs]
        seen = await trainer.observe(handles)
        assert set(seen) == set(jobs)
        assert all(observation.state not in ENDED for observation in seen.values())
        assert await trainer.observe([]) == {}

    async def test_a_cancelled_run_says_so_and_stays_so(self, subject: Subject) -> None:
        trainer = subject.trainer()
        name = await trainer.submit(subject.request("job_1"))
        await trainer.cancel(name)
        seen = await until_ended(trainer, "job_1", name)
        assert (seen.state, seen.artifact, seen.error_code) == (RunState.CANCELLED, None, None)
        await trainer.cancel(name)
        assert await trainer.submit(subject.request("job_1")) == name
        assert (await look(subject.trainer(), "job_1", name)).state is RunState.CANCELLED

    async def test_gives_the_log_of_a_run(self, subject: Subject) -> None:
        trainer = subject.trainer()
        name = await trainer.submit(subject.request("job_1"))
        assert isinstance(await trainer.logs(name), str)
