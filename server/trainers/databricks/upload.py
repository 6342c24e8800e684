"""The training files of a job in a volume of Unity Catalog, where trainers on Databricks read them."""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

from server.databricks.errors import ApiError
from server.databricks.workspace import Workspace
from server.domain.errors import Unavailable
from server.trainers.trainer import TrainingRequest

if TYPE_CHECKING:
    from server.databricks.client import WorkspaceClient

CHUNK_BYTES: Final = 1 << 20
UPLOAD_SECONDS: Final = 600.0  # for all files of a job


@dataclass(frozen=True, slots=True)
class Uploaded:
    """Where the files lie, as paths that begin with /Volumes. `validation` is None when there is nothing in it."""

    train: str
    validation: str | None


async def upload(
    workspace: Workspace, volume: str, request: TrainingRequest, *, timeout_seconds: float = UPLOAD_SECONDS
) -> Uploaded:
    """Put the files into a folder of the job below `volume` (/Volumes/catalog/schema/volume/…), and read them back.

    A file that is there with the right content is kept, so that an upload that was cut off goes on where it ended.
    Raises `Unavailable` as long as a file is not there whole.
    """
    folder = f"{volume.rstrip('/')}/{request.job_id}"
    has_validation = await workspace.in_thread(_has_content, request.validation_file)
    put = Uploaded(f"{folder}/train.jsonl", f"{folder}/validation.jsonl" if has_validation else None)
    files = [(request.train_file, put.train)]
    if put.validation is not None:
        files.append((request.validation_file, put.validation))
    try:
        await workspace.call(lambda client: _put_all(client, folder, files), within=timeout_seconds)
    except ApiError as error:
        raise Unavailable(f"the training files can't be put into {folder}: {error}") from error
    return put


def _has_content(path: Path) -> bool:
    return path.stat().st_size > 0


def _put_all(client: "WorkspaceClient", folder: str, files: Iterable[tuple[Path, str]]) -> None:
    client.files.create_directory(folder)  # with those above it; one that exists is fine
    for source, target in files:
        _put(client, source, target)


def _put(client: "WorkspaceClient", source: Path, target: str) -> None:
    with source.open("rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
    size = source.stat().st_size
    if _size(client, target) == size and _digest(client, target) == digest:
        return
    with source.open("rb") as file:
        client.files.upload(target, file, overwrite=True)
    if _digest(client, target) != digest:
        raise Unavailable(f"{target} is not what was uploaded; it is uploaded again")


def _size(client: "WorkspaceClient", path: str) -> int | None:
    """How many bytes a file has; None when there is none."""
    try:
        return client.files.get_metadata(path).content_length
    except ApiError as error:
        if error.is_not_found:
            return None
        raise


def _digest(client: "WorkspaceClient", path: str) -> str:
    digest = sha256()
    contents = client.files.download(path).contents
    if contents is None:
        raise Unavailable(f"{path} can't be read back")
    with contents:
        while chunk := contents.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
