"""A desk at which curation is tested: a sheet, a template and a training sheet, and ways to look at the database."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from server.domain.caller import Caller
from server.domain.errors import Refused
from server.domain.examples import Message
from server.services.curation import Curation, NewPair
from server.storage.migrations import driver_url

ANNA = Caller("anna@example.com")
BEN = Caller("ben@example.com")
DEADLINE = 20.0
LONG = "x" * 256
NUL = "contains a NUL character (U+0000), which can't be stored"
SURROGATE = "contains a lone surrogate, which is not valid Unicode text"
SYSTEM_PROMPT = "You answer for the invoice desk."


@dataclass(frozen=True)
class Desk:
    engine: AsyncEngine
    curation: Curation
    sheet_id: str
    template_id: str
    training_sheet_id: str

    async def rows(self, statement: str, **parameters: object) -> list[tuple[Any, ...]]:
        async with self.engine.connect() as connection:
            return [tuple(row) for row in await connection.execute(text(statement), parameters)]

    async def one(self, statement: str, **parameters: object) -> tuple[Any, ...]:
        [row] = await self.rows(statement, **parameters)
        return row

    async def value(self, statement: str, **parameters: object) -> Any:  # noqa: ANN401  (whatever the column holds)
        [value] = await self.one(statement, **parameters)
        return value

    async def add(self, *pairs: NewPair) -> list[str]:
        return await self.curation.add_qa_pairs(ANNA, self.training_sheet_id, pairs)

    async def label(self, item_ref: str = "inv-1", **changes: Any) -> str:  # noqa: ANN401  (fields of the label)
        fields = {"sheet_id": self.sheet_id, "label_type": "answer", "label_data": {"text": "30 days"}, **changes}
        return await self.curation.create_canonical_label(ANNA, item_ref=item_ref, **fields)

    async def someone_waits(self) -> None:
        """Return once a statement waits for a lock that another transaction holds."""
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        async with asyncio.timeout(DEADLINE):
            while not await self.value(waiting):  # noqa: ASYNC110  (Postgres tells nobody that it waits)
                await asyncio.sleep(0.005)


def pair(question: str = "When is it due?", answer: str = "In 30 days.", **changes: Any) -> NewPair:  # noqa: ANN401
    return NewPair(**{"messages": turns("user", question, "assistant", answer), **changes})


def turns(*spoken: str) -> list[Message]:
    return [Message(role, content) for role, content in zip(spoken[::2], spoken[1::2], strict=True)]


def refusal(refused: pytest.ExceptionInfo[Refused]) -> tuple[str, str]:
    return ".".join(refused.value.path), refused.value.message


@asynccontextmanager
async def opened(database_url: str) -> AsyncIterator[Desk]:
    engine = create_async_engine(driver_url(database_url), pool_size=12)
    curation = Curation(engine)
    try:
        sheet_id = await curation.create_sheet(ANNA, "invoices", "UC_TABLE", "main.finance.invoices")
        template_id = await curation.create_template(ANNA, "desk", SYSTEM_PROMPT, "{question}")
        training_sheet_id = await curation.create_training_sheet(ANNA, "invoice desk", sheet_id, template_id)
        yield Desk(engine, curation, sheet_id, template_id, training_sheet_id)
    finally:
        await engine.dispose()


async def unlocked_pairs(connection: AsyncConnection, pair_ids: Sequence[str]) -> list[str]:
    """Those of the pairs that no other transaction holds, by id."""
    statement = text("SELECT id FROM qa_pairs WHERE id = ANY(:ids) ORDER BY id FOR UPDATE SKIP LOCKED")
    return list((await connection.execute(statement, {"ids": list(pair_ids)})).scalars())
