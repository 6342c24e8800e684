"""strawchemy, another compiler of Strawberry's selections to SQL, in an environment of its own: its pins may clash."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent
LOCK: Final = FOLDER / "requirements.lock"
INSTALL_SECONDS = 600.0


class NotInstalled(Exception):
    """It can't be had on this machine; the message says why, on its first line in short."""


def command(url: str, port: int) -> list[str | Path]:
    """The command that serves the database at `url`. Raises `NotInstalled`."""
    return [_installed(), FOLDER / "serve.py", url, str(port)]


def version() -> str:
    """The version that is locked."""
    locked = re.search(r"^strawchemy==(\S+)", LOCK.read_text(encoding="utf-8"), re.MULTILINE)
    if locked is None:
        raise NotInstalled("the lock does not name strawchemy")
    return locked[1]


def _installed() -> Path:
    """The Python of its environment, beside the packages of this one."""
    folder = Path(sys.prefix) / "strawchemy"
    python, stamp, lock = folder / "bin" / "python", folder / ".installed-lock", LOCK.read_bytes()
    if not stamp.exists() or stamp.read_bytes() != lock:
        uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.prefix) / ".uv" / "bin"))
        if uv is None:
            raise NotInstalled("there is no uv to install it with")
        _run([uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, folder])
        _run([uv, "pip", "sync", "--quiet", "--python", python, "--require-hashes", "--compile-bytecode", LOCK])
        stamp.write_bytes(lock)
    return python


def _run(arguments: list[str | Path]) -> None:
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalled(f"it can't be installed\n{error}") from error
    if done.returncode != 0:
        raise NotInstalled(f"it can't be installed\n{(done.stderr or done.stdout).strip()[-2000:]}")
