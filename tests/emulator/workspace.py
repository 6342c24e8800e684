"""The workspace's files: mkdirs, import, get-status, list, export and delete."""

import base64
import re
import shutil
from pathlib import Path, PurePosixPath
from typing import Any

from starlette.responses import Response

from tests.emulator.errors import ApiError, exists, invalid, missing, text
from tests.emulator.routing import Answer, Call, Routes

LARGEST = 10 * 1024 * 1024
NOTEBOOK = b"# Databricks notebook source"
FORMATS = frozenset({"AUTO", "RAW", "SOURCE"})
BOUNDARY = re.compile(r'boundary="?([^";]+)"?')
FIELD = re.compile(rb'\bname="([^"]*)"')


def _mkdirs(call: Call) -> Answer:
    path = text(call.json(), "path")
    place = call.world.disk.workspace(path)
    if place.is_file():
        raise exists(f"Path ({path}) already exists.")
    place.mkdir(parents=True, exist_ok=True)
    return {}


def _import(call: Call) -> Answer:
    fields = _fields(call)
    path = text(fields, "path")
    content = fields.get("content", b"")
    if fields.get("format", "SOURCE") not in FORMATS:
        raise invalid(f"Unsupported import format {fields.get('format')}")
    if len(content) > LARGEST:
        raise ApiError(400, "MAX_NOTEBOOK_SIZE_EXCEEDED", f"File size imported is {len(content)} bytes, too large.")
    place = call.world.disk.workspace(path)
    if not place.parent.is_dir():
        raise missing(f"The parent folder ({PurePosixPath(path).parent}) does not exist.")
    if place.exists() and fields.get("overwrite") != "true":
        raise exists(f"{path} already exists. Please pass overwrite=true to update it.")
    place.write_bytes(content)
    return {}


def _fields(call: Call) -> dict[str, Any]:
    """What is imported: as form data, or as JSON whose content is base64."""
    content_type = call.headers.get("content-type", "")
    boundary = BOUNDARY.search(content_type)
    if boundary is None:
        fields = call.json()
        overwrite = "true" if fields.get("overwrite") is True else "false"
        return fields | {"content": base64.b64decode(fields.get("content", "")), "overwrite": overwrite}
    found: dict[str, Any] = {}
    for part in call.body.split(b"--" + boundary[1].encode())[1:-1]:
        head, _, value = part.partition(b"\r\n\r\n")
        name = FIELD.search(head)
        if name:
            content = value.removesuffix(b"\r\n")
            found[name[1].decode()] = content if name[1] == b"content" else content.decode()
    return found


def _object(call: Call, path: str, place: Path) -> dict[str, Any]:
    status = place.stat()
    described: dict[str, Any] = {
        "object_type": "DIRECTORY",
        "path": path,
        "object_id": status.st_ino,
        "resource_id": str(status.st_ino),
    }
    if place.is_file():
        notebook = place.read_bytes().startswith(NOTEBOOK)
        described |= {"object_type": "NOTEBOOK" if notebook else "FILE", "size": status.st_size}
        described |= {"modified_at": round(status.st_mtime * 1000), "created_at": round(status.st_ctime * 1000)}
    return described


def _existing(call: Call, path: str) -> Path:
    place = call.world.disk.workspace(path)
    if not place.exists():
        raise missing(f"Path ({path}) doesn't exist.")
    return place


def _status(call: Call) -> Answer:
    path = text(call.query, "path")
    return _object(call, path, _existing(call, path))


def _list(call: Call) -> Answer:
    path = text(call.query, "path")
    place = _existing(call, path)
    inside = sorted(place.iterdir()) if place.is_dir() else [place]
    return {"objects": [_object(call, f"{path.rstrip('/')}/{inner.name}", inner) for inner in inside]}


def _export(call: Call) -> Answer:
    path = text(call.query, "path")
    place = _existing(call, path)
    if place.is_dir():
        raise invalid(f"{path} is a directory and can't be exported.")
    content = place.read_bytes()
    if call.query.get("direct_download") == "true":
        return Response(content, media_type="application/octet-stream")
    return {"content": base64.b64encode(content).decode(), "file_type": place.suffix.removeprefix(".")}


def _delete(call: Call) -> Answer:
    given = call.json()
    path = text(given, "path")
    place = _existing(call, path)
    if place.is_file():
        place.unlink()
    elif given.get("recursive") or not any(place.iterdir()):
        shutil.rmtree(place)
    else:
        raise ApiError(400, "DIRECTORY_NOT_EMPTY", f"Folder ({path}) is not empty")
    return {}


ROUTES: Routes = (
    ("POST", "/api/2.0/workspace/mkdirs", _mkdirs),
    ("POST", "/api/2.0/workspace/import", _import),
    ("GET", "/api/2.0/workspace/get-status", _status),
    ("GET", "/api/2.0/workspace/list", _list),
    ("GET", "/api/2.0/workspace/export", _export),
    ("POST", "/api/2.0/workspace/delete", _delete),
)
