"""The other sub-commands, beside a running server and alone."""

import json
from pathlib import Path

import pytest

from server.postgres import cluster, postmaster
from tests.e2e.program import program, run

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

NAMES = ("--sheet", "Desk", "--template", "Desk help", "--training-sheet", "Desk answers")
COUNT = "{ trainingSheets { nodes { name template { systemPrompt userPrompt } qaPairs { totalCount } } } }"


def write(file: Path, count: int) -> Path:
    lines = [{"prompt": f"Question {number}?", "response": f"Answer {number}."} for number in range(count)]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


async def test_import_joins_a_running_server_and_a_second_import_changes_nothing(tmp_path: Path) -> None:
    file = write(tmp_path / "desk.jsonl", 30)
    async with program() as server:
        await server.start()
        first = await run(server.data_dir, "import", str(file), *NAMES, "--system-prompt", "Be brief.")
        second = await run(server.data_dir, "import", str(file), *NAMES, "--system-prompt", "Be brief.")
        async with server.client() as client:
            found = await client.ask(COUNT)
        assert (first.status, first.complaints) == (0, "")
        assert first.output == (
            "desk.jsonl: 30 pairs imported (30 NOT_LABELED) into the Training Sheet 'Desk answers'\n"
        )
        assert (
            second.output == "desk.jsonl: 0 pairs imported, 30 there already into the Training Sheet 'Desk answers'\n"
        )
        template = {"systemPrompt": "Be brief.", "userPrompt": "{question}"}
        sheet = {"name": "Desk answers", "template": template, "qaPairs": {"totalCount": 30}}
        assert found == {"trainingSheets": {"nodes": [sheet]}}
        assert await server.stop() == 0


async def test_without_a_server_commands_start_a_database_for_their_own_time(tmp_path: Path) -> None:
    bad = write(tmp_path / "desk.jsonl", 3)
    with bad.open("a") as more:
        more.write('{"prompt": "and then?"}\n')
    async with program() as server:
        migrated = await run(server.data_dir, "migrate")
        refused = await run(server.data_dir, "import", str(bad), *NAMES)
        assert (migrated.status, migrated.output) == (0, "The database has the tables of this version.\n")
        assert (refused.status, refused.output) == (2, "")
        assert refused.complaints.startswith("tunegraph: desk.jsonl, line 4: ")
        assert len(refused.complaints.splitlines()) == 1
        assert postmaster.running(cluster.cluster_of(server.data_dir)) is None

        await server.start()
        async with server.client() as client:
            assert await client.ask(COUNT) == {"trainingSheets": {"nodes": []}}
