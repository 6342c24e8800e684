"""The server stands on the public names of its libraries, so that an upgrade of one says what it breaks."""

from pathlib import Path

SERVER = Path(__file__).parents[2] / "server"
SUPPRESSED = "SLF001"  # ruff's rule about private names of others


def test_nothing_in_the_server_reaches_into_a_library() -> None:
    assert [path.name for path in SERVER.rglob("*.py") if SUPPRESSED in path.read_text()] == []
