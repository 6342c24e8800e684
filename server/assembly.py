"""The services of one server, put together from its settings: the only place that chooses adapters."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from server.bus import Bus
from server.databricks.workspace import Workspace
from server.domain.status import TrainerKind
from server.reconciler.mirror_loop import MirrorLoop
from server.reconciler.mlflow_mirror import Mirror
from server.reconciler.reconciler import Reconciler
from server.reconciler.retention import JobFolders, Retention, remove_folder
from server.reconciler.runtime import Runtime
from server.reconciler.timeouts import Limits
from server.registry.databricks import DatabricksRegistry
from server.registry.local_store import default_artifact_root, default_tracking_uri
from server.registry.mlflow import MlflowRegistry
from server.registry.registry import ModelRegistry
from server.services.base_models import BaseModels
from server.services.curation import Curation
from server.services.eligibility import Eligibility
from server.services.following import Following
from server.services.jobs import Jobs
from server.settings import Settings
from server.storage import retention
from server.storage.database import Database, connect
from server.storage.retention import Kind
from server.supervision import Supervised
from server.threads import Threads
from server.trainers.databricks.ai_runtime.trainer import AiRuntimeTrainer
from server.trainers.databricks.fmapi.trainer import FmapiTrainer
from server.trainers.local import run
from server.trainers.local.trainer import RUNS, LocalTrainer
from server.trainers.trainer import Trainer

DATABRICKS = "databricks"  # MLflow's name for the workspace of the environment
EXPORTS = "exports"
BLOCKING_CALLS = 8  # at once, over all libraries that block


@dataclass(frozen=True, slots=True)
class Services:
    """What lives as long as the server."""

    database: Database
    bus: Bus
    reconciler: Reconciler
    jobs: Jobs
    curation: Curation
    eligibility: Eligibility
    following: Following
    base_models: BaseModels
    mirroring: Supervised


def _trainers(settings: Settings) -> Mapping[TrainerKind, Trainer]:
    """Those of Databricks need a volume to put training files in."""
    trainers: dict[TrainerKind, Trainer] = {
        TrainerKind.LOCAL: LocalTrainer(
            settings.data_dir, slots=settings.local_slots, language_models=settings.local_llms
        )
    }
    if settings.databricks_volume is not None:
        workspace = Workspace()
        volume, folder, alias = settings.databricks_volume, settings.databricks_folder, settings.databricks_alias
        trainers[TrainerKind.FMAPI] = FmapiTrainer(workspace, volume=volume, folder=folder, alias=alias)
        trainers[TrainerKind.AI_RUNTIME] = AiRuntimeTrainer(
            workspace,
            volume=volume,
            folder=folder,
            alias=alias,
            models=settings.ai_runtime_models,
            secrets=settings.ai_runtime_secrets,
        )
    return trainers


def _registry(settings: Settings) -> ModelRegistry:
    """That of Databricks has a workspace of its own, so that calls of it that hang hold up no trainer."""
    if settings.mlflow_tracking_uri == DATABRICKS:
        return DatabricksRegistry(Workspace(), settings.databricks_folder, settings.databricks_alias)
    return MlflowRegistry(
        settings.mlflow_tracking_uri or default_tracking_uri(settings.data_dir),
        default_artifact_root(settings.data_dir),
        Threads(BLOCKING_CALLS),
    )


def _retention(settings: Settings, engine: AsyncEngine) -> Retention:
    folders = [
        JobFolders(
            "exports", settings.data_dir / EXPORTS, settings.keep_exports_days, retention.without_exports, remove_folder
        ),
        JobFolders("runs", settings.data_dir / RUNS, settings.keep_runs_days, retention.without_runs, run.remove),
    ]
    thinning = {Kind.POINTS: settings.keep_points_days, Kind.PROGRESS_EVENTS: settings.keep_progress_days}
    return Retention(engine, folders, thinning)


@asynccontextmanager
async def open_services(settings: Settings, url: str) -> AsyncIterator[Services]:
    """Open all services on a migrated database, and close them in the opposite order."""
    limits = Limits(lease=settings.lease, registering=settings.registration_timeout)
    trainers = _trainers(settings)
    registry = _registry(settings)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(
            connect(
                url,
                connections=settings.database_connections,
                statement_timeout=settings.statement_timeout,
                lock_timeout=settings.lock_timeout,
                write_timeout=settings.write_timeout,
            )
        )
        engine = database.engine
        bus = await stack.enter_async_context(Bus(url))
        mirror = Mirror(engine, registry, limits)
        mirroring = await stack.enter_async_context(MirrorLoop(mirror))
        await stack.enter_async_context(_retention(settings, engine))
        runtime = Runtime(engine, trainers, mirror, settings.data_dir / EXPORTS, limits)
        reconciler = await stack.enter_async_context(Reconciler(runtime))
        eligibility = Eligibility(engine)
        yield Services(
            database=database,
            bus=bus,
            reconciler=reconciler,
            jobs=Jobs(engine, bus, reconciler, eligibility, default_trainer=settings.trainer),
            curation=Curation(engine),
            eligibility=eligibility,
            following=Following(database.reads, bus),
            base_models=BaseModels(trainers),
            mirroring=mirroring.supervised,
        )
