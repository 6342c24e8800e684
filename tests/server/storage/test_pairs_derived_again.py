"""The migration that derives again what follows from messages: for pairs, and never for what a job froze."""

import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeAlias

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from server.domain.derived import Derived, derive
from server.domain.examples import Message
from server.export.jsonl import ExportedDataset, export
from server.storage import migrations
from server.threads import Threads

pytestmark = pytest.mark.database

BEFORE, PROMPT = "0003", "Be\u2029brief."
SHEETS = """
INSERT INTO sheets (id, name, source) VALUES ('sheet_1', 's', 'EXTERNAL');
INSERT INTO templates (id, name, version, system_prompt, user_prompt)
  VALUES ('tmpl_1', 't', 1, NULL, '{q}'), ('tmpl_2', 't', 2, E'Be\u2029brief.', '{q}');
INSERT INTO training_sheets (id, name, sheet_id, template_id)
  VALUES ('tsheet_1', 'plain', 'sheet_1', 'tmpl_1'), ('tsheet_2', 'prompted', 'sheet_1', 'tmpl_2');
"""
PAIR = """
INSERT INTO qa_pairs (id, training_sheet_id, messages, status, allowed_uses, prohibited_uses, defect, question_digest,
    line_digest) VALUES ($1, $2, $3, 'LABELED', '{TRAINING,VALIDATION}', '{}', $4, $5, $6)
"""
JOB = """
INSERT INTO training_jobs (id, training_sheet_id, model_name, base_model, trainer, status, training_config,
    train_val_split, split_seed, total_pairs, train_pairs, val_pairs, excluded_not_labeled, excluded_use_prohibited,
    excluded_use_not_allowed, excluded_malformed, register_to_uc, created_by, dataset_digest)
  VALUES ($1, 'tsheet_1', 'm', 'b', 'LOCAL', 'PENDING', '{}', 0.8, 0, 2, 1, 1, 0, 0, 0, 0, false, 'local', $2)
"""
LINEAGE = """
INSERT INTO training_job_lineage (job_id, training_sheet_id, training_sheet_name, sheet_id, sheet_name, template_id,
    template_name, template_version, model_name)
  VALUES ($1, 'tsheet_1', 'plain', 'sheet_1', 's', 'tmpl_1', 't', 1, 'm')
"""
FREEZE = """
INSERT INTO training_job_pairs (job_id, position, split, qa_pair_id, digest)
  SELECT $1, place, split, id, line_digest FROM qa_pairs
  JOIN (VALUES (0, 'TRAIN', 'qa_ends'), (1, 'VALIDATION', 'qa_plain')) AS chosen (place, split, pair) ON id = pair
"""
FROZEN = "SELECT job_id, position, digest FROM training_job_pairs ORDER BY 1, 2"
Talk = list[tuple[str, str]]
ENDS: Talk = [("user", "Who\u2028signs?"), ("assistant", "Anna\x85 \u2029")]
TALKS: dict[str, tuple[Talk, str | None]] = {
    "qa_plain": ([("user", "Who signs?"), ("assistant", "Anna.")], None),
    "qa_ends": (ENDS, None),
    "qa_spaced": ([("user", "Who sig\u200bns ?"), ("assistant", "Ben.")], None),
    "qa_twice": ([("user", "a"), ("user", "b"), ("assistant", "c")], "WRONG_ORDER"),
    "qa_invisible": ([("user", "a"), ("assistant", "\u200b")], None),
    "qa_empty": ([("user", "a"), ("assistant", " ")], "EMPTY_ANSWER"),
    "qa_marked": ([("user", "a"), ("assistant", "x</s>")], None),
}
MANY = 450

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@pytest.fixture
async def connection(empty_database_url: str) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(empty_database_url)
    yield connection
    await connection.close()


def line_before(talk: Talk, prompt: str | None = None) -> bytes:
    turns = [("system", prompt), *talk] if prompt else talk
    spoken = [{"role": role, "content": content} for role, content in turns]
    return json.dumps({"messages": spoken}, ensure_ascii=False, separators=(",", ":")).encode()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


async def fill(connection: Connection) -> None:
    """Pairs as the version before wrote them; all of them in one training sheet and, with a prompt, in another."""
    await connection.execute(SHEETS)
    talks = TALKS | {f"qa_{n}": ([("user", f"question {n}"), ("assistant", "a\u2028")], None) for n in range(MANY)}
    rows = []
    for pair_id, (talk, defect) in talks.items():
        asked = [[role, " ".join(content.casefold().split())] for role, content in talk[:-1]]
        question = json.dumps(asked, ensure_ascii=False, separators=(",", ":"))
        for suffix, sheet, prompt in (("", "tsheet_1", None), ("_prompted", "tsheet_2", PROMPT)):
            messages = json.dumps([{"role": role, "content": content} for role, content in talk])
            digests = sha256(question.encode()), sha256(line_before(talk, prompt))
            rows.append((f"{pair_id}{suffix}", sheet, messages, defect, *digests))
    await connection.executemany(PAIR, rows)


async def make_job(connection: Connection, job_id: str, dataset_digest: str | None = None) -> None:
    async with connection.transaction():
        await connection.execute(JOB, job_id, dataset_digest)
        await connection.execute(LINEAGE, job_id)
        await connection.execute(FREEZE, job_id)


async def exported(url: str, job_id: str, folder: Path) -> ExportedDataset:
    engine = create_async_engine(migrations.driver_url(url))
    try:
        return await export(engine, Threads(1), job_id, folder)
    finally:
        await engine.dispose()


async def test_each_pair_has_what_the_rules_of_now_derive(empty_database_url: str, connection: Connection) -> None:
    await migrations.upgrade(empty_database_url, BEFORE)
    await fill(connection)
    await migrations.upgrade(empty_database_url)
    rows = await connection.fetch("SELECT * FROM qa_pairs")
    assert len(rows) == 2 * (MANY + len(TALKS))
    for row in rows:
        messages = [Message(**turn) for turn in json.loads(row["messages"])]
        prompt = PROMPT if row["training_sheet_id"] == "tsheet_2" else None
        assert Derived(*(row[name] for name in Derived._fields)) == derive(messages, prompt)
    by_id = {row["id"]: row for row in rows}
    assert {pair_id: (by_id[pair_id]["defect"], by_id[pair_id]["defect_turn"]) for pair_id in TALKS} == {
        **dict.fromkeys(TALKS, (None, None)),
        "qa_twice": ("SAME_ROLE_TWICE", 2),
        "qa_invisible": ("EMPTY_ANSWER", 2),
        "qa_empty": ("EMPTY_ANSWER", 2),
    }
    assert by_id["qa_marked"]["control_token"] == "</s>"  # noqa: S105  (no password)
    assert by_id["qa_spaced"]["question_digest"] == by_id["qa_plain"]["question_digest"]
    with pytest.raises(asyncpg.RestrictViolationError, match="never change once stored"):
        await connection.execute("UPDATE qa_pairs SET control_token = 'x'")


async def test_a_job_that_waits_trains_on_the_lines_that_it_froze(
    empty_database_url: str, connection: Connection, tmp_path: Path
) -> None:
    await migrations.upgrade(empty_database_url, BEFORE)
    await fill(connection)
    await make_job(connection, "job_before")
    frozen = await connection.fetch(FROZEN)
    await migrations.upgrade(empty_database_url)
    assert await connection.fetch(FROZEN) == frozen
    await make_job(connection, "job_now")
    before = await exported(empty_database_url, "job_before", tmp_path / "before")
    now = await exported(empty_database_url, "job_now", tmp_path / "now")
    assert before.train_file.read_bytes() == line_before(ENDS) + b"\n"
    assert now.train_file.read_text() == (
        '{"messages":[{"role":"user","content":"Who\\u2028signs?"},'
        '{"role":"assistant","content":"Anna\\u0085 \\u2029"}]}\n'
    )
    assert before.validation_file.read_bytes() == now.validation_file.read_bytes()


async def test_going_back_leaves_what_the_version_before_can_export(
    empty_database_url: str, connection: Connection
) -> None:
    await migrations.upgrade(empty_database_url, BEFORE)
    await fill(connection)
    pairs = await connection.fetch("SELECT * FROM qa_pairs ORDER BY id")
    await migrations.upgrade(empty_database_url)
    await make_job(connection, "job_waiting")
    await make_job(connection, "job_exported", "digest")
    exported_lines = await connection.fetch(f"SELECT * FROM ({FROZEN}) AS f WHERE job_id = 'job_exported'")
    await migrations.downgrade(empty_database_url, BEFORE)
    back = await connection.fetch("SELECT * FROM qa_pairs ORDER BY id")
    assert [dict(row) for row in back] == [dict(row) for row in pairs]
    waiting = await connection.fetch(f"SELECT digest FROM ({FROZEN}) AS f WHERE job_id = 'job_waiting'")
    assert [row["digest"] for row in waiting] == [sha256(line_before(ENDS)), sha256(line_before(TALKS["qa_plain"][0]))]
    assert await connection.fetch(f"SELECT * FROM ({FROZEN}) AS f WHERE job_id = 'job_exported'") == exported_lines
