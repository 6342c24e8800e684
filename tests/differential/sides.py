"""The two that answer: the product and the oracle, over one database."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
from graphql import GraphQLSchema

from schema.execution.documents import Refusal
from schema.limits import Limits
from tests.differential.compare import Difference, difference
from tests.differential.operations import Document, Request, sdl
from tests.oracle.oracle import Oracle
from tests.schema.conftest import Api, opened

NONE = Limits(cost=10**12, cost_in_python=10**12)  # what is drawn may ask for much; the oracle has no limits


@dataclass(frozen=True)
class Sides:
    """Both sides at work."""

    api: Api
    oracle: Oracle

    async def product(self, text: str, request: Request) -> dict[str, Any]:
        """What the product answers."""
        payload = {"query": text, "variables": dict(request.variables), "operationName": request.operation_name}
        try:
            prepared = await self.api.execution.prepare(payload)
        except Refusal as refusal:
            return {"errors": refusal.errors}
        answer = await self.api.execution.execute(prepared, self.api.context)
        return dict(json.loads(answer.json))

    async def compared(self, text: str, request: Request) -> tuple[Difference | None, dict[str, Any]]:
        """The first difference, and what the product answered."""
        theirs = await self.oracle.answer(text, dict(request.variables), request.operation_name)
        try:
            ours = await self.product(text, request)
        except Exception as error:  # noqa: BLE001  (no answer at all is a difference too)
            return Difference("the answer", repr(error), theirs), {}
        return difference(ours, theirs), ours


@asynccontextmanager
async def both(schema: GraphQLSchema, url: str) -> AsyncIterator[Sides]:
    """Both sides over the database at an address."""
    async with opened(schema, url, limits=NONE) as api, asyncpg.create_pool(url, min_size=1, max_size=4) as pool:
        yield Sides(api, Oracle(sdl(), pool))


def report(document: Document, place: int, text: str, found: Difference) -> str:
    """All that is needed to see a difference again; `text` may be a smaller document that still differs."""
    request = document.requests[place]
    return (
        f"seed {document.seed}, document {document.index}, request {place}\n{text}\n"
        f"operationName: {request.operation_name!r}\nvariables: {dict(request.variables)!r}\n{found}"
    )
