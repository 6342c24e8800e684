"""`demo --exit`, as `make demo EXIT=1` runs it."""

import re

import pytest

from server.postgres import cluster, postmaster
from tests.e2e.program import program, run

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


async def test_the_demo_trains_registers_answers_and_says_that_all_of_it_held() -> None:
    async with program() as server:
        demo = await run(server.data_dir, "demo", "--exit", within=200)
        assert demo.status == 0, demo.output + demo.complaints + server.log()
        shown = demo.output
        for verdict in ("ELIGIBLE", "NOT_LABELED", "USE_PROHIBITED", "USE_NOT_ALLOWED", "MALFORMED"):
            assert re.search(rf"{verdict} +\d+", shown), verdict
        assert re.search(r"The split: \d+ to train on, \d+ to validate with", shown)
        moves = re.findall(r"(\S+) → (\w+)", shown)
        assert moves == [("-", "PENDING"), ("PENDING", "QUEUED"), ("QUEUED", "RUNNING"), ("RUNNING", "SUCCEEDED")]
        assert re.search(r"epoch +\d+/\d+ +loss \d+\.\d+", shown)
        assert re.search(r"chance +\d+\.\d+ % +\d+\.\d+ %", shown)
        assert re.search(r"untrained +\d+\.\d+ +\d+\.\d+ +\d+\.\d+ % +\d+\.\d+ %", shown)
        assert "main.tunegraph.invoice-desk, version 1" in shown
        assert re.search(r"sha256 [0-9a-f]{64}", shown)
        assert re.search(r"GraphiQL +http://127\.0\.0\.1:\d+/graphql", shown)
        assert len(re.findall(r"^  ✓ ", shown, re.MULTILINE)) == 7
        assert "✗" not in shown
        assert postmaster.running(cluster.cluster_of(server.data_dir)) is None


async def test_a_demo_that_finds_its_port_taken_says_so_before_it_does_anything() -> None:
    async with program() as server:
        await server.start()
        port = server.authority.rpartition(":")[2]
        demo = await run(server.data_dir, "demo", "--exit", port=port)
        assert (demo.status, demo.output) == (2, "")
        assert demo.complaints.startswith(f"tunegraph: Port {port} is busy")
