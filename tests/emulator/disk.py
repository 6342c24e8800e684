"""Where volumes, models, artifacts and the workspace's files lie on this machine."""

import re
from collections.abc import Set as AbstractSet
from pathlib import Path, PurePosixPath

from tests.emulator.errors import ApiError, invalid

ARTIFACTS = re.compile(r"/WorkspaceInternal/Mlflow/Artifacts/([^/]+)/Runs/([^/]+)/artifacts(?:/(.*))?")
VOLUME_PARTS = 5


class Disk:
    """Paths of Databricks, each at its place below one folder."""

    def __init__(self, folder: Path, volumes: AbstractSet[str]) -> None:
        self._folder = folder
        self._volumes = volumes
        for volume in volumes:
            folder.joinpath("Volumes", *volume.split(".")).mkdir(parents=True, exist_ok=True)

    def file(self, path: str) -> Path:
        """Where a path of the Files API lies: below /Volumes, /Models or a run's artifacts."""
        found = ARTIFACTS.fullmatch(path)
        if found:
            return self.artifacts(found[1], found[2]).joinpath(*_parts(found[3] or ""))
        parts = _parts(path.removeprefix("dbfs:"))
        match parts[:1]:
            case ["Volumes"]:
                return self._volume(path, parts)
            case ["Models"]:
                return self._folder.joinpath(*parts)
            case _:
                raise invalid(f"Invalid path: unsupported first path component in {path!r}")

    def _volume(self, path: str, parts: list[str]) -> Path:
        if len(parts) < VOLUME_PARTS - 1:
            raise invalid(f"Invalid path: {path!r} has to name a catalog, a schema and a volume")
        volume = ".".join(parts[1 : VOLUME_PARTS - 1])
        if volume not in self._volumes:
            raise ApiError(404, "NOT_FOUND", f"Volume '{volume}' does not exist.")
        return self._folder.joinpath(*parts)

    def has_volume(self, name: str) -> bool:
        return name in self._volumes

    def artifacts(self, experiment: str, run: str) -> Path:
        return self._folder.joinpath("Artifacts", *_parts(experiment), *_parts(run))

    def workspace(self, path: str) -> Path:
        """Where a workspace object lies: /Workspace/Users/… and /Users/… are the same."""
        if not path.startswith("/"):
            raise invalid(f"Path ({path}) doesn't start with '/'")
        return self._folder.joinpath("Workspace", *_parts(path.removeprefix("/Workspace")))


def _parts(path: str) -> list[str]:
    parts = [part for part in PurePosixPath("/", path).parts if part != "/"]
    if ".." in parts:
        raise invalid(f"Invalid path: {path!r}")
    return parts
