"""The bare broadcast, and one small measurement of both servers."""

from pathlib import Path

import asyncpg
import pytest
from starlette.applications import Starlette
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from server.commands import serve
from server.settings import Settings
from tests.bench import beside, broadcast, changes, data, watching
from tests.bench.crowd import joined, subscribe
from tests.bench.servers import TUNEGRAPH, broadcasting, serving
from tests.bench.watching import EVENTS

TEXT = '{"id":"1","type":"next","payload":{"data":1}}'
SHARED = ("ws_max_size", "ws_ping_interval", "ws_ping_timeout", "ws_per_message_deflate", "ws_max_queue")
EVENT = "SELECT sequence, event_type, message FROM training_job_events WHERE job_id = $1 ORDER BY sequence DESC LIMIT 1"
STANDING = "SELECT status, last_sequence FROM training_jobs WHERE id = $1"


def test_the_broadcast_is_served_as_the_program_is() -> None:
    app = Starlette()
    bare, ours = broadcast.configuration(app, 1), serve._configuration(app, Settings())

    assert {name: getattr(bare, name) for name in SHARED} == {name: getattr(ours, name) for name in SHARED}
    for configuration in (bare, ours):
        configuration.load()
    for one, other in (("http_protocol_class", HttpToolsProtocol), ("ws_protocol_class", WebSocketsSansIOProtocol)):
        assert getattr(bare, one) is other
        assert issubclass(getattr(ours, one), other)


@pytest.mark.database
async def test_a_broadcast_goes_to_the_sockets_of_the_job_that_changed(database_url: str, tmp_path: Path) -> None:
    openings = [subscribe(EVENTS, id=job_id, after=None) for job_id in ("job_1", "job_1", "job_2")]
    connection = await asyncpg.connect(database_url)
    async with (
        serving(broadcasting(TEXT), database_url, tmp_path) as server,
        joined(server.port, openings, equal=True) as members,
    ):
        for job_id, count in (("job_1", 2), ("job_2", 1)):
            delivered = members.expect(count)
            await connection.execute("SELECT pg_notify('tunegraph', $1)", job_id)
            await delivered

        assert [one.count for one in members.members] == [1, 1, 1]
        assert {one.last for one in members.members} == {TEXT.encode()}
    await connection.close()


@pytest.mark.database
async def test_an_event_of_the_benchmark_reaches_a_subscriber_of_the_program(database_url: str, tmp_path: Path) -> None:
    await data.fill(database_url, 200)
    job_id = (await data.newest(database_url, 1))[0]
    async with changes.writing(database_url, 1) as writer:
        await writer.begin([job_id])
        async with serving(TUNEGRAPH, database_url, tmp_path) as server:
            watched = (await watching.newest(server, 1))[0]
            text = await watching.sample_frame(server, database_url, watched)

    assert watched.job_id == job_id
    assert '"sequence":21' in text
    connection = await asyncpg.connect(database_url)
    assert tuple(await connection.fetchrow(EVENT, job_id) or ()) == (21, "PROGRESS_UPDATE", "Epoch 3 of 20, 15 % done")
    assert tuple(await connection.fetchrow(STANDING, job_id) or ()) == ("RUNNING", 21)
    await connection.close()


@pytest.mark.database
@pytest.mark.e2e
async def test_both_servers_are_measured_by_turns(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "MESSAGES", 12)
    monkeypatch.setattr(watching, "SIZES", (4,))
    monkeypatch.setattr(watching, "JOBS", 2)
    monkeypatch.setattr(watching, "WATCHED_JOBS", 3)
    await data.fill(database_url, 200)

    equal, different = await watching.run(await watching.databases(database_url), tmp_path, rounds=1)

    assert [(each.subscribers, each.jobs, each.failure) for each in (equal, different)] == [(4, 1, ""), (2, 2, "")]
    for each in (equal, different):
        assert each.ours is not None
        assert each.bare is not None
        assert each.ours.cpu > 0
        assert each.bare.cpu > 0
        assert each.cpu_ratio == pytest.approx(each.ours.cpu / each.bare.cpu)


@pytest.mark.database
@pytest.mark.e2e
async def test_others_are_asked_with_and_without_a_crowd(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beside, "SUBSCRIBERS", 3)
    monkeypatch.setattr(beside, "SECONDS", 1.0)
    await data.fill(database_url, 200)
    async with changes.writing(database_url, 1) as writer:
        await writer.begin(await data.newest(database_url, 1))

    measured = await beside.run(database_url, tmp_path, rounds=1)

    assert [each.kind for each in measured] == ["list", "sheet"]
    for each in measured:
        assert 0 < each.ratio == pytest.approx(each.busy / each.idle)
    connection = await asyncpg.connect(database_url)
    assert await connection.fetchval("SELECT count(*) FROM sheets WHERE name LIKE 'Probe %'") == 45
    await connection.close()
