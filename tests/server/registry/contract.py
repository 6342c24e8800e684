"""What every registry does, whatever lies under it."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from server.domain.errors import Unavailable
from server.domain.metrics import MetricPoint
from server.domain.status import JobStatus
from server.registry.registry import ModelRegistry
from tests.server.registry.conftest import NOW, facts
from tests.server.registry.stores import NAME, Store, contents

STARTED = 1_770_372_000_250  # NOW, in milliseconds


async def logged(registry: ModelRegistry, artifact: Path, job_id: str = "job_1") -> str:
    """A run with a model."""
    run_id = await registry.start_run(facts(job_id))
    await registry.log_model(run_id, artifact)
    return run_id


class RegistryContract:
    """A subclass is in a module that has the fixtures `store` and `registry`."""

    async def test_a_run_is_described(self, registry: ModelRegistry, store: Store) -> None:
        run_id = await registry.start_run(
            facts(parameters={"epochs": 3, "schedule": {"warmup": [1, 2]}, "note": "x" * 9000})
        )
        (run,) = store.runs()
        assert (run.id, run.experiment, run.name) == (run_id, store.experiment, "invoice-desk")
        assert (run.status, run.started, run.ended) == ("RUNNING", STARTED, None)
        assert run.tags == {
            "tunegraph.job_id": "job_1",
            "tunegraph.model_name": "invoice-desk",
            "tunegraph.base_model": "local/retriever-small",
            "tunegraph.trainer": "LOCAL",
            "tunegraph.training_sheet_id": "tsheet_1",
            "tunegraph.training_sheet_name": "Invoices, 2026",
            "tunegraph.dataset_digest": "ab" * 32,
            "mlflow.user": "ada",
            "mlflow.source.name": "tunegraph",
            "mlflow.source.type": "JOB",
            "mlflow.runName": "invoice-desk",
        }
        assert run.params == {
            "epochs": "3",
            "schedule": '{"warmup": [1, 2]}',
            "note": "x" * 6000,
            "base_model": "local/retriever-small",
            "trainer": "LOCAL",
            "train_pairs": "400",
            "val_pairs": "100",
        }

    async def test_a_configuration_of_any_size_and_with_any_names_is_logged(
        self, registry: ModelRegistry, store: Store
    ) -> None:
        odd = {"": 1, "..": 2, "../up": 3, "a//b": 4, "größe%": 5, "k" * 300: 6}
        many = {f"key {n:03}": n for n in range(250)}
        await registry.start_run(facts(parameters=odd | many))
        (run,) = store.runs()
        assert len(run.params) == len(odd) + len(many) + 4
        keys = ("_", "_..", "_.._up", "_a__b", "größe_", "k" * 250)
        assert [run.params[key] for key in keys] == ["1", "2", "3", "4", "5", "6"]

    async def test_a_job_has_one_run_whoever_starts_it_again(self, store: Store) -> None:
        run_id = await store.open().start_run(facts())
        assert await store.open().start_run(facts()) == run_id
        assert await store.open().start_run(facts("job_2")) != run_id
        assert len(store.runs()) == 2

    async def test_a_run_that_was_made_but_not_described_is_completed(
        self, registry: ModelRegistry, store: Store
    ) -> None:
        left_behind = store.leave_run("job_1")
        assert await registry.start_run(facts()) == left_behind
        (run,) = store.runs()
        assert run.params["epochs"] == "3"

    async def test_starting_a_run_many_times_at_once_makes_one(self, registry: ModelRegistry, store: Store) -> None:
        started = await asyncio.gather(*(registry.start_run(facts()) for _ in range(6)))
        assert len(set(started)) == 1
        assert len(store.runs()) == 1

    async def test_points_are_logged_once_and_only_finite_values(self, registry: ModelRegistry, store: Store) -> None:
        run_id = await registry.start_run(facts())
        points = [
            MetricPoint(1, NOW, {"train_loss": 2.5, "val_loss": float("nan")}),
            MetricPoint(
                2, NOW + timedelta(seconds=1), {"train_loss": 1.5, "val_loss": float("inf"), "val_accuracy": 1}
            ),
        ]
        await registry.log_points(run_id, points[:1])
        await registry.log_points(run_id, points)
        await registry.log_points(run_id, [])
        assert store.history(run_id, "train_loss") == [(1, STARTED, 2.5), (2, STARTED + 1000, 1.5)]
        assert store.history(run_id, "val_accuracy") == [(2, STARTED + 1000, 1.0)]
        assert store.history(run_id, "val_loss") == []

    async def test_points_that_come_late_or_from_another_process_are_logged_once(self, store: Store) -> None:
        run_id = await store.open().start_run(facts())
        points = [MetricPoint(step, NOW, {"loss": 1 / (step + 1)}) for step in range(6)]
        one, other = store.open(), store.open()
        await one.log_points(run_id, points[:2])
        await other.log_points(run_id, points[4:])
        await one.log_points(run_id, points[1:5])
        await other.log_points(run_id, points)
        await store.open().log_points(run_id, points)
        assert store.history(run_id, "loss") == [(step, STARTED, 1 / (step + 1)) for step in range(6)]

    async def test_more_values_than_one_request_may_hold(self, registry: ModelRegistry, store: Store) -> None:
        run_id = await registry.start_run(facts())
        await registry.log_points(
            run_id, [MetricPoint(step, NOW, {"a": step, "b": -step, "c": 0.5}) for step in range(700)]
        )
        for key, last in (("a", 699.0), ("b", -699.0), ("c", 0.5)):
            history = store.history(run_id, key)
            assert (len(history), history[-1]) == (700, (699, STARTED, last))

    async def test_a_registered_version_loads_in_another_process_and_answers(
        self, registry: ModelRegistry, store: Store, artifact: Path
    ) -> None:
        version = await registry.register(await logged(registry, artifact), NAME, "job_1")
        said = await asyncio.to_thread(store.answer, version, "When is it due?")
        assert said == "You asked: When is it due?\n"

    async def test_registering_again_is_the_same_version(self, store: Store, artifact: Path) -> None:
        registry = store.open()
        run_id = await logged(registry, artifact)
        again = [registry.register(run_id, NAME, "job_1") for _ in range(4)]
        assert await asyncio.gather(*again) == ["1"] * 4
        assert await store.open().register(run_id, NAME, "job_1") == "1"
        (version,) = store.versions()
        assert (version.run_id, version.status) == (run_id, "READY")
        assert "job_1" in version.told

    async def test_two_jobs_that_register_at_once_get_a_version_each(self, store: Store, artifact: Path) -> None:
        async def train(job_id: str) -> tuple[str, str]:
            registry = store.open()
            run_id = await logged(registry, artifact, job_id)
            return await registry.register(run_id, NAME, job_id), run_id

        registered = await asyncio.gather(train("job_1"), train("job_2"))
        assert sorted(version for version, _ in registered) == ["1", "2"]
        assert {(version.number, version.run_id) for version in store.versions()} == set(registered)

    async def test_a_model_is_copied_once(self, registry: ModelRegistry, store: Store, artifact: Path) -> None:
        run_id = await logged(registry, artifact)
        copied = store.model(run_id)
        assert contents(copied) == contents(artifact)
        before = (copied / "MLmodel").stat()
        await registry.log_model(run_id, artifact)
        assert (copied / "MLmodel").stat().st_mtime_ns == before.st_mtime_ns

    async def test_a_copy_that_was_broken_off_is_completed(
        self, registry: ModelRegistry, store: Store, artifact: Path
    ) -> None:
        run_id = await registry.start_run(facts())
        half = store.model(run_id)
        half.mkdir(parents=True)
        (half / "MLmodel").write_text("broken off")
        await registry.log_model(run_id, artifact)
        assert (half / "MLmodel").read_bytes() == (artifact / "MLmodel").read_bytes()

    async def test_a_folder_without_a_model_is_refused(self, registry: ModelRegistry, tmp_path: Path) -> None:
        run_id = await registry.start_run(facts())
        with pytest.raises(Unavailable, match=r"no model in MLflow's format at nothing$"):
            await registry.log_model(run_id, tmp_path / "nothing")

    async def test_a_run_without_a_model_is_not_registered(self, registry: ModelRegistry, store: Store) -> None:
        run_id = await registry.start_run(facts())
        with pytest.raises(Unavailable, match="has no model to register"):
            await registry.register(run_id, NAME, "job_1")
        assert store.versions() == []

    async def test_registering_waits_until_the_version_is_ready(
        self, store: Store, artifact: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("server.registry.models.POLL_SECONDS", 0.01)
        registry = store.open(ready_seconds=0.1)
        run_id = await logged(registry, artifact)
        await registry.register(run_id, NAME, "job_1")

        store.set_version_status("PENDING_REGISTRATION")
        with pytest.raises(Unavailable, match=f"version 1 of {NAME} is still being registered"):
            await registry.register(run_id, NAME, "job_1")
        patient = asyncio.create_task(store.open().register(run_id, NAME, "job_1"))
        await asyncio.sleep(0)
        store.set_version_status("READY")
        assert await patient == "1"

    async def test_a_version_that_failed_is_replaced_by_another(
        self, registry: ModelRegistry, store: Store, artifact: Path
    ) -> None:
        run_id = await logged(registry, artifact)
        assert await registry.register(run_id, NAME, "job_1") == "1"
        store.set_version_status("FAILED_REGISTRATION")
        assert await registry.register(run_id, NAME, "job_1") == "2"
        assert await registry.register(run_id, NAME, "job_1") == "2"

    @pytest.mark.parametrize(
        ("status", "run_status"),
        [(JobStatus.SUCCEEDED, "FINISHED"), (JobStatus.FAILED, "FAILED"), (JobStatus.CANCELLED, "KILLED")],
    )
    async def test_a_run_ends_once_as_its_job_has_ended(
        self, registry: ModelRegistry, store: Store, status: JobStatus, run_status: str
    ) -> None:
        run_id = await registry.start_run(facts())
        await registry.finish(run_id, status)
        (ended,) = store.runs()
        assert ended.status == run_status
        assert ended.ended is not None
        await registry.finish(run_id, status)
        assert store.runs() == [ended]

    async def test_a_deleted_experiment_is_named(self, registry: ModelRegistry, store: Store) -> None:
        store.delete_experiment()
        with pytest.raises(Unavailable, match=f"experiment {store.experiment} was deleted; .*restore.* brings it back"):
            await registry.start_run(facts())
        assert store.runs() == []

    async def test_an_unknown_run_is_unavailable(self, registry: ModelRegistry) -> None:
        with pytest.raises(Unavailable, match="not found"):
            await registry.finish("0" * 32, JobStatus.FAILED)
