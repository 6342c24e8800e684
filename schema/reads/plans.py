"""Compiled statements, kept: by their place in a document, and by whatever the compiler asked of a request."""

import asyncio
import re
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias
from weakref import WeakValueDictionary

from graphql import GraphQLError
from sqlalchemy import ColumnElement, LargeBinary, Select, Text, case, func, literal_column, select
from sqlalchemy.dialects.postgresql.asyncpg import dialect

from schema.limits import LIMITS
from schema.offload import Offload, collecting
from schema.reads import connections, render
from schema.reads.arguments import Fill, Question, Recorder, Request
from schema.reads.compiler import Compiler, NotCompiled
from schema.reads.selection import Document, Selecting
from server.storage.sessions import Sessions

MOST_SHAPES = 32
MOST_KEPT = 32 * 1024 * 1024  # bytes, by the measured sizes below
CHARACTER_OF_TEXT = 200  # bytes that a dense document takes: plans refer to its nodes
CHARACTER_OF_SQL = 3
QUESTION = 500
QUICK_CHARACTERS = 2_048  # of a selection; compiled in up to 50 ms on the machine that this was measured on
OVERSIZE: Final = b"\0"
ALIAS: Final = re.compile(r" AS (r\$\d+)\b")

Value: TypeAlias = Callable[[Compiler], ColumnElement[Any] | Select[Any] | bytes]


class TooLarge(GraphQLError):
    """A result that is larger than any may be."""

    def __init__(self, size_bytes: int, most_bytes: int) -> None:
        super().__init__(
            f"the result has {size_bytes:,} bytes and may have {most_bytes:,}; ask for smaller pages (first) or fewer"
            " fields",
            extensions={"code": "TOO_LARGE", "bytes": size_bytes, "limit": most_bytes},
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """A statement and how to fill it. `asked` is its key: it serves each request that gives the same answers.

    `checks` are values that nothing selected needs, and that must be good all the same. Without a statement the answer
    is `constant`; without either, graphql-core has to answer. A result of more than `most_bytes` stays in Postgres.
    """

    asked: tuple[tuple[Question, Hashable], ...]
    sql: str = ""
    fills: tuple[Fill, ...] = ()
    checks: tuple[Fill, ...] = ()
    constant: bytes | None = None
    most_bytes: int = 0

    @property
    def is_runnable(self) -> bool:
        """Whether there is anything to run."""
        return bool(self.sql) or self.constant is not None

    @property
    def size(self) -> int:
        """How many bytes it takes, roughly."""
        return len(self.sql) * CHARACTER_OF_SQL + len(self.asked) * QUESTION

    def serves(self, request: Request) -> bool:
        """Whether a request compiles to this plan; asked in order, so each question is put where it makes sense."""
        return all(question(request) == value for question, value in self.asked)

    def filled(self, request: Request) -> list[object]:
        """The values to run it with. Raises `BadArgument`."""
        for check in self.checks:
            check(request)
        return [fill(request) for fill in self.fills]

    async def run(self, reads: Sessions, values: list[object]) -> bytes | None:
        """The result as JSON; None for null. Raises `TooLarge`."""
        result: bytes | None = await reads.value(self.sql, values) if self.sql else self.constant
        if result is not None and result.startswith(OVERSIZE):
            raise TooLarge(int(result.removeprefix(OVERSIZE)), self.most_bytes)
        return result


@dataclass(frozen=True, slots=True)
class Place:
    """A field in a document: the text, where the nodes begin that are merged in it, and the type that they select from.

    A field at the root may be merged from other nodes each time, as @skip and @include will have it. A whole operation
    has a place too, by its number in the document.
    """

    text: str
    starts: tuple[int, ...]
    type: str

    @property
    def size(self) -> int:
        """How many bytes its plans keep, roughly, however many they are."""
        return len(self.text) * CHARACTER_OF_TEXT


class Plans:
    """The plans of one server, the least recently used places given up first."""

    def __init__(self, offload: Offload, most_bytes: int = LIMITS.result_bytes) -> None:
        self._offload = offload
        self._most_bytes = most_bytes
        self._places: OrderedDict[Place, list[Plan]] = OrderedDict()
        self._size = 0
        self._compiling: WeakValueDictionary[Place, asyncio.Lock] = WeakValueDictionary()

    async def find(
        self, place: Place, nodes: Sequence[Selecting], request: Request, document: Document, value: Value
    ) -> Plan:
        """The plan for a place in a document, compiled when no kept one serves.

        Raises `BadArgument`, and `Overloaded` where too many wait to be compiled. Compiling takes milliseconds, and
        seconds for the longest documents: it is done beside the event loop, the short ones apart, and once for all who
        wait for the same plan. `nodes` are what the place selects from.
        """
        plan = self._kept(place, request)
        if plan is None:
            async with self._compiling.setdefault(place, asyncio.Lock()):
                plan = self._kept(place, request)
                if plan is None:
                    quick = _length(nodes, document) <= QUICK_CHARACTERS
                    plan = await self._offload.run(
                        collecting(compile_plan), request, document, value, self._most_bytes, quick=quick
                    )
                    self._keep(place, plan)
        return plan

    def _kept(self, place: Place, request: Request) -> Plan | None:
        for plan in self._places.get(place, ()):
            if plan.serves(request):
                self._places.move_to_end(place)
                return plan
        return None

    def _keep(self, place: Place, plan: Plan) -> None:
        shapes = self._places.setdefault(place, [])
        self._places.move_to_end(place)
        self._size += plan.size + (0 if shapes else place.size)
        shapes.insert(0, plan)
        if len(shapes) > MOST_SHAPES:
            self._size -= shapes.pop().size
        while self._size > MOST_KEPT:
            oldest, given_up = self._places.popitem(last=False)
            self._size -= oldest.size + sum(plan.size for plan in given_up)


def _length(nodes: Sequence[Selecting], document: Document) -> int:
    """The characters that a selection may be spread over: its own, and those of all fragments."""
    located = [node.loc for node in (*nodes, *document.fragments.values()) if node.loc is not None]
    return sum(location.end - location.start for location in located)


def compile_plan(request: Request, document: Document, value: Value, most_bytes: int = LIMITS.result_bytes) -> Plan:
    """One statement with one value: the bytes of the JSON that `value` describes, if it is not those bytes itself.

    Of more than `most_bytes` it has the number in their place, behind a zero byte, which no JSON has. A `value` that
    is a select already is the statement as it stands, with as many rows as it has. Raises `BadArgument`.
    """
    recorder = Recorder(request)
    try:
        compiled_value = value(Compiler(document, recorder, connections.compiled))
    except NotCompiled:
        return Plan(tuple(recorder.asked))
    if isinstance(compiled_value, bytes):
        return Plan(tuple(recorder.asked), constant=compiled_value)
    statement = compiled_value if isinstance(compiled_value, Select) else _bounded(compiled_value, most_bytes)
    compiled = statement.compile(dialect=dialect())  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it so
    sql = str(compiled)
    _refuse_cross_joins(sql)
    names: list[str] = list(compiled.positiontup or ())
    if strange := [name for name in names if name not in recorder.fills]:
        raise TypeError(f"values of ours became binds, write them as literals: {strange} in {sql}")
    checks = [fill for name, fill in recorder.fills.items() if name not in names]
    return Plan(
        tuple(recorder.asked), sql, tuple(recorder.fills[name] for name in names), tuple(checks), None, most_bytes
    )


def _bounded(json: ColumnElement[Any], most_bytes: int) -> Select[tuple[bytes]]:
    """The JSON in UTF-8. OFFSET keeps Postgres from computing it once for each mention."""
    encoded = select(func.convert_to(json.cast(Text), render.word("UTF8")).label("json"))
    whole = encoded.offset(render.number(0)).subquery("result$")
    size = func.octet_length(whole.c.json)
    oversize = literal_column(r"'\x00'::bytea", LargeBinary)
    figure = func.convert_to(size.cast(Text), render.word("UTF8"), type_=LargeBinary)
    return select(case((size > render.number(most_bytes), oversize.concat(figure)), else_=whole.c.json))


def _refuse_cross_joins(sql: str) -> None:
    """A parent's name that is defined twice means that a select was not correlated with it."""
    if twice := {name for name, times in Counter(ALIAS.findall(sql)).items() if times > 1}:
        raise TypeError(f"{sorted(twice)} stands in more than one FROM: {sql}")
