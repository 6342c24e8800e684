"""MLflow's database and artifacts under the data folder."""

# ruff: noqa: PLC0415  (MLflow takes seconds to import: on first use, in a thread)

import fcntl
from pathlib import Path

SQLITE = "sqlite:///"


def default_tracking_uri(data_dir: Path) -> str:
    """Where runs and models are kept when no other place is configured."""
    return f"{SQLITE}{data_dir.absolute() / 'mlflow' / 'mlflow.db'}"


def default_artifact_root(data_dir: Path) -> Path:
    """Where the files of runs are kept when the tracking address is a database."""
    return data_dir.absolute() / "mlflow" / "artifacts"


def create_missing(tracking_uri: str, artifact_root: Path) -> None:
    """Make the database of a SQLite address, whole or not at all; any other address is left to its own server.

    MLflow itself builds the tables in place, in some two seconds: killed in between, or opened by two processes at
    once, the file can never be opened again. So it is built beside its place, under a lock that the kernel drops.
    """
    if not tracking_uri.startswith(SQLITE):
        return
    database = Path(tracking_uri.removeprefix(SQLITE).split("?")[0])
    database.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (database.parent / f".{database.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not database.exists():
            _create(database, artifact_root)


def _create(database: Path, artifact_root: Path) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    draft = database.with_name(f".{database.name}.draft")
    for left_behind in draft.parent.glob(f"{draft.name}*"):  # with its journal
        left_behind.unlink()
    store = SqlAlchemyStore(f"{SQLITE}{draft}", artifact_root.as_uri())  # type: ignore[no-untyped-call]  # MLflow annotates none of it
    store.engine.dispose()
    draft.replace(database)
