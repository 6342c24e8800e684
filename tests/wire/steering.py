"""What the clients' scripts need beside the client; it runs in environments without the project's packages."""

import json
import os
import sys
import urllib.request
from typing import Any

USER = "me@example.com"
TRAIN, VALIDATION = "/Volumes/main/ft/data/train.jsonl", "/Volumes/main/ft/data/validation.jsonl"
ROWS = 40


def host() -> str:
    return os.environ["DATABRICKS_HOST"]


def advance(seconds: float) -> None:
    """Put the emulator's clock forward."""
    _send("POST", "/emulator/clock", json.dumps({"advance": seconds}).encode())


def upload(path: str, content: bytes) -> None:
    _send("PUT", f"/api/2.0/fs/files{path}?overwrite=true", content)


def _send(method: str, path: str, content: bytes) -> None:
    headers = {"Authorization": f"Bearer {os.environ['DATABRICKS_TOKEN']}"}
    request = urllib.request.Request(host() + path, content, headers, method=method)  # noqa: S310  (the emulator's)
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310  (the same)
        response.read()


def conversations() -> bytes:
    """Chats of one question and one answer, a line each."""
    return b"\n".join(
        json.dumps(
            {"messages": [{"role": "user", "content": f"q{row}"}, {"role": "assistant", "content": f"a{row}"}]}
        ).encode()
        for row in range(ROWS)
    )


def tell(seen: dict[str, Any]) -> None:
    """Say what was seen, in the last line of the output."""
    sys.stdout.write(f"\n{json.dumps(seen)}\n")
