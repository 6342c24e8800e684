"""Memory goes back to the system once large requests are done."""

import os
import subprocess
import sys

import pytest

from server.commands import memory

PROGRAM = """
import sys
from pathlib import Path
from server.commands import memory

if sys.argv[1] == "bounded":
    assert memory.give_back()

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

bytes(16_000_000)  # from here on glibc would take blocks of this size for usual ones
before = resident()
blocks = [(bytearray(b"x" * 12_000_000), bytearray(b"x" * 10_000)) for _ in range(10)]
small = [between for _, between in blocks]
del blocks
print(resident() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_what_large_blocks_took_is_given_back() -> None:
    def kept(mode: str) -> int:
        return int(subprocess.run([sys.executable, "-c", PROGRAM, mode], check=True, capture_output=True).stdout)

    assert 10 * kept("bounded") < kept("as it is")


def test_another_allocator_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "confstr_names", {})
    assert memory.give_back() is False
