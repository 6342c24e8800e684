"""Every setting, read once from the environment when the program starts and handed down."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from server.domain.origin import Origin
from server.domain.status import TrainerKind

VOLUME: Final = re.compile(r"/Volumes/[^/\s]+/[^/\s]+/[^/\s]+(/[^/\s]+)*/?")


def _absolute(path: Path) -> Path:
    return path.expanduser().absolute()


def _volume(path: str) -> str:
    if not VOLUME.fullmatch(path):
        raise ValueError("must be like /Volumes/catalog/schema/volume or a folder in it")
    return path.rstrip("/")


def _listed(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _origins(value: object) -> object:
    listed = _listed(value)
    return tuple(map(Origin.parse, listed)) if isinstance(listed, tuple) else listed


class Settings(BaseSettings):
    """Settings come from `TUNEGRAPH_*` variables; the two that have a name of the wider world keep it."""

    model_config = SettingsConfigDict(env_prefix="TUNEGRAPH_", frozen=True, extra="forbid")

    host: str = Field("127.0.0.1", description="The address to listen on; only loopback while no identity mode exists.")
    port: int = Field(8000, ge=0, le=65535, description="The port to listen on; 0 takes a free one.")
    data_dir: Annotated[Path, AfterValidator(_absolute)] = Field(
        Path(".tunegraph"), description="Where the embedded Postgres, runs, exports and MLflow's files live."
    )
    database_url: str | None = Field(
        None,
        alias="DATABASE_URL",
        repr=False,
        description="A Postgres 16 or newer of your own (postgresql://…); without it an embedded one is started.",
    )
    pg_bin: Path | None = Field(
        None,
        alias="PG_BIN",
        description="The folder with the programs of a Postgres to embed instead of the wheel's.",
    )
    database_connections: int = Field(
        20,
        ge=4,
        le=500,
        description="The most database connections the server opens, reads and writes together.",
    )
    statement_timeout: float = Field(
        15.0, gt=0, description="Seconds after which a read is given up; one more where Postgres is silent."
    )
    write_timeout: float = Field(
        60.0,
        gt=0,
        description="Seconds after which a statement of a write is given up, and a transaction after twice that.",
    )
    lock_timeout: float = Field(5.0, gt=0, description="Seconds after which a write that waits for a lock is given up.")
    import_timeout: float = Field(3600.0, gt=0, description="Seconds after which an import is given up.")
    trainer: TrainerKind = Field(TrainerKind.LOCAL, description="Who trains when a job names no trainer.")
    local_slots: int = Field(1, ge=1, le=64, description="How many local trainings run at once; the rest wait in line.")
    databricks_volume: Annotated[str, AfterValidator(_volume)] | None = Field(
        None,
        description="The folder in a Unity Catalog volume where training files go: `/Volumes/catalog/schema/volume/…`."
        " With it, FMAPI and AI_RUNTIME train in the workspace that the variables of Databricks' own SDK name.",
    )
    databricks_folder: str = Field(
        "/Shared/tunegraph", pattern="^/", description="The workspace folder for experiments and training scripts."
    )
    databricks_alias: str = Field(
        "champion", pattern=r"^[A-Za-z0-9_-]{1,255}$", description="The alias that a newly registered version gets."
    )
    ai_runtime_models: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)] = Field(
        ("meta-llama/Llama-3.2-1B-Instruct", "meta-llama/Llama-3.2-3B-Instruct", "Qwen/Qwen2.5-0.5B-Instruct"),
        description="The models that AI_RUNTIME offers, separated by commas.",
    )
    ai_runtime_secrets: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)] = Field(
        (),
        description="Variables of AI_RUNTIME trainings whose values Databricks keeps, separated by commas:"
        " `HF_TOKEN=scope/key`.",
    )
    local_llms: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)] = Field(
        (),
        description="The language models that LOCAL offers after `make llm`: folders, or ids of the Hugging Face hub,"
        " separated by commas.",
    )
    lease: float = Field(
        30.0, gt=1, description="Seconds for which a replica holds a job while it works on it; then another takes over."
    )
    mlflow_tracking_uri: str | None = Field(
        None,
        repr=False,
        description="Where MLflow keeps runs and models, `databricks` for a workspace;"
        " by default SQLite under the data folder.",
    )
    registration_timeout: float = Field(
        600.0, gt=0, description="Seconds after the end of a training until registering its model is given up."
    )
    allowed_origins: Annotated[tuple[Origin, ...], NoDecode, BeforeValidator(_origins)] = Field(
        (),
        description="Origins whose pages may use the server besides its own, separated by commas:"
        " `https://desk.example.com`, `http://localhost:5173`. A proxy may forward requests under their names.",
    )
    connections: int = Field(
        10_000, ge=10, le=1_000_000, description="The most connections that clients may have open together."
    )
    connections_per_address: int = Field(
        1_000,
        ge=1,
        le=1_000_000,
        description="The most of them from one address; loopback, where proxies are, has all.",
    )
    keep_exports_days: int = Field(
        7, ge=0, description="Days after a job's end until its exported files are deleted; 0 keeps them for ever."
    )
    keep_runs_days: int = Field(
        30,
        ge=0,
        description="Days after a local job's end until the folder of its run is deleted; 0 keeps it for ever."
        " One whose model or metrics MLflow lacks stays.",
    )
    keep_points_days: int = Field(
        90,
        ge=0,
        description="Days after a job's end until each of its metric series is thinned to 1,000 points; 0 keeps all.",
    )
    keep_progress_days: int = Field(
        0,
        ge=0,
        description="Days after a job's end until its PROGRESS_UPDATE and METRIC_UPDATE events are deleted,"
        " which leaves gaps in `sequence`; 0 keeps them for ever. Other events always stay.",
    )
    max_body: int = Field(16_777_216, ge=1024, description="The largest request body, in bytes.")
    max_cost: int = Field(
        500_000, ge=1_000, description="The most values that one operation may ask for, over all pages that it names."
    )
    max_answer: int = Field(
        16_777_216, ge=65_536, le=67_108_864, description="The largest result of one operation, in bytes."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="The lowest level logged.")
    log_requests: bool = Field(
        False, description="Whether each request has a line in the log; failed and slow ones (over a second) always do."
    )
    log_format: Literal["auto", "console", "json"] = Field(
        "auto",
        description="`console` has lines for people, `json` for machines; `auto` tells a terminal from the rest.",
    )


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of the environment as people read of it: in the help, and in the README."""

    name: str
    default: str
    description: str


def variables() -> list[Variable]:
    """Every variable that `Settings` reads, in the order of its fields."""
    return [
        Variable(field.alias or f"TUNEGRAPH_{name.upper()}", _shown(field.default), field.description or "")
        for name, field in Settings.model_fields.items()
    ]


def unknown(names: Iterable[str]) -> list[str]:
    """Those of `names` that look like a setting and are none: a slip that would go unnoticed otherwise."""
    known = {variable.name for variable in variables()}
    return sorted(name for name in names if name.startswith("TUNEGRAPH_") and name.upper() not in known)


def _shown(default: object) -> str:
    if default is None:
        return ""
    if isinstance(default, tuple):
        return ",".join(default)
    return str(default.value) if isinstance(default, Enum) else str(default)
