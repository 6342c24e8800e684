"""The Files API: files and directories below /Volumes, /Models and the runs' artifacts."""

import shutil
from email.utils import formatdate
from pathlib import Path
from typing import Any

from starlette.responses import Response

from tests.emulator.errors import ApiError, text, whole
from tests.emulator.routing import Answer, Call, Routes

FILE = "/api/2.0/fs/files/{path:path}"
DIRECTORY = "/api/2.0/fs/directories/{path:path}"
PAGE = 1000


def _not_found(what: str) -> ApiError:
    return ApiError(404, "NOT_FOUND", f"The {what} being accessed is not found.")


def _path(call: Call) -> str:
    return "/" + call.parts["path"].strip("/")


def _file(call: Call) -> Path:
    place = call.world.disk.file(_path(call))
    if not place.is_file():
        raise _not_found("file")
    return place


def _upload(call: Call) -> Answer:
    path = _path(call)
    place = call.world.disk.file(path)
    if place.is_dir():
        raise ApiError(400, "INVALID_PARAMETER_VALUE", "The path being accessed is a directory.")
    if place.exists() and call.query.get("overwrite", "false") != "true":
        raise ApiError(409, "ALREADY_EXISTS", "The file being created already exists.")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(call.body)
    return Response(status_code=204)


def _headers(place: Path) -> dict[str, str]:
    status = place.stat()
    return {
        "Content-Type": "application/octet-stream",
        "Last-Modified": formatdate(status.st_mtime, usegmt=True),
        "Accept-Ranges": "bytes",
    }


def _metadata(call: Call) -> Answer:
    place = _file(call)
    return Response(headers=_headers(place) | {"Content-Length": str(place.stat().st_size)})


def _download(call: Call) -> Answer:
    """A whole file, or from where a broken download goes on (`Range: bytes=N-` or `N-M`)."""
    place = _file(call)
    content, headers = place.read_bytes(), _headers(place)
    wanted = call.headers.get("range")
    if wanted is None:
        return Response(content, headers=headers)
    first, _, last = wanted.removeprefix("bytes=").partition("-")
    start, end = int(first), int(last) if last else len(content) - 1
    if start >= len(content):
        return Response(status_code=416, headers={"Content-Range": f"bytes */{len(content)}"})
    part = content[start : end + 1]
    return Response(part, 206, headers | {"Content-Range": f"bytes {start}-{start + len(part) - 1}/{len(content)}"})


def _delete(call: Call) -> Answer:
    _file(call).unlink()
    return Response(status_code=204)


def _directory(call: Call) -> Path:
    place = call.world.disk.file(_path(call))
    if not place.is_dir():
        raise _not_found("directory")
    return place


def _create_directory(call: Call) -> Answer:
    place = call.world.disk.file(_path(call))
    if place.is_file():
        raise ApiError(409, "ALREADY_EXISTS", "A file with this name already exists.")
    place.mkdir(parents=True, exist_ok=True)
    return Response(status_code=204)


def _has_directory(call: Call) -> Answer:
    _directory(call)
    return Response()


def _list_directory(call: Call) -> Answer:
    base, inside = _path(call), sorted(_directory(call).iterdir())
    size, start = whole(call.query, "page_size", PAGE), whole(call.query, "page_token", 0)
    contents = [_entry(base, place) for place in inside[start : start + size]]
    more = {"next_page_token": str(start + size)} if start + size < len(inside) else {}
    return {"contents": contents, **more}


def _entry(base: str, place: Path) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "path": f"{base}/{place.name}" + ("/" if place.is_dir() else ""),
        "name": place.name,
        "is_directory": place.is_dir(),
        "last_modified": round(place.stat().st_mtime * 1000),
    }
    return entry if place.is_dir() else entry | {"file_size": place.stat().st_size}


def _delete_directory(call: Call) -> Answer:
    place = _directory(call)
    if any(place.iterdir()):
        raise ApiError(400, "INVALID_PARAMETER_VALUE", "The directory is not empty.")
    shutil.rmtree(place)
    return Response(status_code=204)


def _presigned(_: Call) -> Answer:
    """Presigned addresses are not enabled here: clients then go through the Files API itself."""
    raise ApiError(403, "PERMISSION_DENIED", "Presigned URLs API is not enabled.", "FILES_API_API_IS_NOT_ENABLED")


def _list_dbfs(call: Call) -> Answer:
    """What /api/2.0/fs/list answers: like DBFS' listing, its path in the body of a GET."""
    path = text(call.json() | dict(call.query), "path").rstrip("/")
    place = call.world.disk.file(path)
    if not place.is_dir():
        raise ApiError(404, "RESOURCE_DOES_NOT_EXIST", f"No file or directory exists on path {path}.")
    return {
        "files": [
            {
                "path": f"dbfs:{path}/{inner.name}",
                "is_dir": inner.is_dir(),
                "file_size": 0 if inner.is_dir() else inner.stat().st_size,
                "modification_time": round(inner.stat().st_mtime * 1000),
            }
            for inner in sorted(place.iterdir())
        ]
    }


ROUTES: Routes = (
    ("PUT", FILE, _upload),
    ("HEAD", FILE, _metadata),
    ("GET", FILE, _download),
    ("DELETE", FILE, _delete),
    ("POST", FILE, _presigned),
    ("PUT", DIRECTORY, _create_directory),
    ("HEAD", DIRECTORY, _has_directory),
    ("GET", DIRECTORY, _list_directory),
    ("DELETE", DIRECTORY, _delete_directory),
    ("POST", "/api/2.0/fs/create-download-url", _presigned),
    ("GET", "/api/2.0/fs/list", _list_dbfs),
)
