"""A run from its submission to its registered model, as a server that looks at it now and then sees it."""

from server.domain.metrics import MetricPoint
from server.domain.status import RunState
from server.trainers.databricks.ai_runtime.trainer import AiRuntimeTrainer
from server.trainers.trainer import Observation, Registering, TrainerJobId
from tests.server.trainers.databricks.ai_runtime.desk import MLFLOW, PACE, REGISTERED, RUNS, Desk, look, values


class Looker:
    """Looks at one run, and says what was recorded of it already, as the server does."""

    def __init__(self, trainer: AiRuntimeTrainer, name: TrainerJobId) -> None:
        self.trainer = trainer
        self.name = name
        self.points: list[MetricPoint] = []
        self.events: list[str] = []

    async def look(self) -> Observation:
        after = self.points[-1].step if self.points else None
        seen = await look(self.trainer, "job_1", self.name, after, len(self.events))
        self.points += seen.points
        self.events += [event.kind for event in seen.events]
        return seen


async def test_a_run_waits_for_its_gpu_trains_and_succeeds(desk: Desk) -> None:
    trainer = desk.trainer()
    looker = Looker(trainer, await trainer.submit(desk.request(register_as=REGISTERED)))
    assert ((await looker.look()).state, looker.events) == (RunState.QUEUED, [])
    desk.passes(0.12)
    waiting = await looker.look()
    assert (waiting.state, waiting.word) == (RunState.QUEUED, "RUNNING")
    assert [event.message for event in waiting.events] == ["Waiting for GPU capacity (1 of GPU_1xA10)"]
    assert (await looker.look()).events == ()
    desk.passes(0.13)
    begun = await looker.look()
    tracked = desk.runs()[0].tracked
    assert tracked is not None
    assert (begun.state, begun.mlflow_run_id, begun.progress_percent) == (RunState.RUNNING, tracked.id, None)
    assert looker.events == ["WAITING_FOR_GPU", "GPU_ASSIGNED"]
    desk.passes(0.35)
    half = await looker.look()
    assert (half.state, half.progress_percent, half.current_epoch, half.total_epochs) == (RunState.RUNNING, 40, 1, 2)
    assert half.estimated_end is not None
    left = half.estimated_end.timestamp() - desk.databricks.clock.now()
    assert abs(left - 0.35 * PACE) < 0.1 * PACE
    desk.passes(0.45)
    done = await looker.look()
    assert (done.state, done.word) == (RunState.SUCCEEDED, "TERMINATED SUCCESS")
    assert (done.current_epoch, done.total_epochs, done.message, done.error_code) == (2, 2, None, None)
    assert done.training_duration_seconds == 0.77 * PACE  # and the time it took to end
    assert done.custom_metrics == {
        "accelerator_type": "GPU_1xA10",
        "accelerator_count": 1,
        "gpu_seconds": 0.77 * PACE,
    }
    assert looker.events == ["WAITING_FOR_GPU", "GPU_ASSIGNED"]


async def test_what_a_run_logs_arrives_once_complete_and_under_our_names(desk: Desk) -> None:
    trainer = desk.trainer()
    looker = Looker(trainer, await trainer.submit(desk.request()))
    for _ in range(60):
        desk.passes(0.02)
        await looker.look()
    assert values(looker.points) == desk.logged()
    assert {key for step in desk.logged().values() for key in step} >= {"train_loss", "val_loss", "learning_rate"}
    tracked = desk.runs()[0].tracked
    assert tracked is not None
    times = {point.step: round(point.at.timestamp() * 1000) for point in looker.points}
    assert {one.step: one.timestamp for one in tracked.metrics["loss"]}.items() <= times.items()


async def test_nothing_is_asked_twice_of_a_run_that_did_not_change(desk: Desk) -> None:
    trainer = desk.trainer()
    looker = Looker(trainer, await trainer.submit(desk.request()))
    desk.passes(0.6)
    await looker.look()
    desk.databricks.requests.clear()
    await looker.look()
    paths = [call.path for call in desk.databricks.requests]
    assert paths == [f"{RUNS}/get", f"{MLFLOW}/runs/get"]


async def test_what_the_program_wrote_beside_its_metrics_is_told_at_the_end(desk: Desk) -> None:
    trainer = desk.trainer()
    name = await trainer.submit(desk.request())
    desk.passes(0.5)
    tracked = desk.runs()[0].tracked
    assert tracked is not None
    write = desk.databricks.world.tracking.write_artifact
    write(tracked, "custom_metrics.json", b'{"untrained_val_loss": 2.5, "device": "cuda"}')
    assert (await look(trainer, "job_1", name)).custom_metrics == {}
    desk.passes(0.6)
    told = dict((await look(trainer, "job_1", name)).custom_metrics)
    assert {key: told[key] for key in ("untrained_val_loss", "device")} == {"untrained_val_loss": 2.5, "device": "cuda"}
    assert told["accelerator_type"] == "GPU_1xA10"
    desk.databricks.faults.script("error", "/api/2.0/fs/files/*", status=403)
    assert "device" not in (await look(trainer, "job_1", name)).custom_metrics
    for strange in (b"[1]", b"{", b""):
        write(tracked, "custom_metrics.json", strange)
        assert "device" not in (await look(trainer, "job_1", name)).custom_metrics


async def test_the_model_that_the_run_registered_is_found_and_aliased(desk: Desk) -> None:
    trainer = desk.trainer()
    assert isinstance(trainer, Registering)
    name = await trainer.submit(desk.request(register_as=REGISTERED))
    desk.passes(1.2)
    later = desk.trainer()  # one that did not see the run before
    assert (await look(later, "job_1", name)).state is RunState.SUCCEEDED
    assert await later.registered(name, REGISTERED) == "1"
    assert await later.registered(name, REGISTERED) == "1"
    assert desk.databricks.world.registry.aliased(REGISTERED, "champion").number == 1
