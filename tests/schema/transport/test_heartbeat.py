"""One timer for all connections: each has its turn, as long as it is there."""

import asyncio

import pytest

from schema.transport import heartbeat as heartbeat_module
from schema.transport.heartbeat import Heartbeat
from tests.schema.clients import eventually


class Connection:
    def __init__(self) -> None:
        self.beats = 0

    def beat(self) -> None:
        self.beats += 1


async def test_each_connection_beats_until_it_is_removed() -> None:
    heartbeat = Heartbeat(0.001)
    staying, leaving = Connection(), Connection()
    heartbeat.add(staying)
    heartbeat.add(leaving)
    await eventually(lambda: min(staying.beats, leaving.beats) >= 2)
    heartbeat.remove(leaving)
    last = leaving.beats
    seen = staying.beats
    await eventually(lambda: staying.beats >= seen + 2)
    assert leaving.beats == last
    heartbeat.remove(staying)
    heartbeat.remove(staying)
    assert heartbeat._timer is None


async def test_none_beats_before_its_time() -> None:
    heartbeat = Heartbeat(3600)
    connection = Connection()
    heartbeat.add(connection)
    await asyncio.sleep(0)
    assert connection.beats == 0
    heartbeat.remove(connection)


async def test_many_at_once_leave_the_loop_to_others_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat_module, "PORTION", 2)
    heartbeat = Heartbeat(0.001)
    many = [Connection() for _ in range(5)]
    for connection in many:
        heartbeat.add(connection)
    most, before = 0, 0
    while min(connection.beats for connection in many) < 2:
        await asyncio.sleep(0)
        now = sum(connection.beats for connection in many)
        most, before = max(most, now - before), now
    assert most <= 2
    for connection in many:
        heartbeat.remove(connection)
