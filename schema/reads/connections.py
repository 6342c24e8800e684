"""Relay connections: one page, read once, and everything the client asked for as aggregates over it."""

from dataclasses import dataclass
from typing import Any, cast

from graphql import FieldNode, GraphQLObjectType, get_named_type
from sqlalchemy import Boolean, ColumnElement, FromClause, Integer, and_, func, literal_column, select, true
from sqlalchemy.dialects.postgresql import aggregate_order_by

from schema.reads import render, selection
from schema.reads.arguments import Arguments, BadArgument
from schema.reads.compiler import Compiler, Pairs, Site
from schema.reads.cursors import beyond, cursor
from schema.reads.declare import Connection, Row

LARGEST_PAGE = 100
PAGE = 20
CURSOR = "cursor$"
PLACE = "place$"


@dataclass(frozen=True, slots=True)
class Page:
    """Which rows of an order are asked for."""

    size: int
    backward: bool
    after: bool
    before: bool

    @classmethod
    def of(cls, arguments: Arguments, default: int) -> "Page":
        """What `first`, `after`, `last` and `before` say together. Raises `BadArgument` when they contradict."""
        first = arguments.shape(lambda value: _size("first", value), "first")
        last = arguments.shape(lambda value: _size("last", value), "last")
        if first is not None and last is not None:
            raise arguments.bad("first and last can't be combined; ask for one end of the list")
        size = last if last is not None else first if first is not None else default
        return cls(size, last is not None, arguments.given("after"), arguments.given("before"))


def _size(name: str, value: int | None) -> int | None:
    if value is None:
        return None
    if value < 0:
        raise BadArgument(f"{name} must not be negative")
    return min(value, LARGEST_PAGE)


def limit(arguments: Arguments, name: str = "first") -> int:
    """The length of a plain list that the client limits."""
    return cast("int", arguments.shape(lambda value: PAGE if value is None else _size(name, value), name))


class ConnectionCompiler:
    """Compiles one connection field."""

    def __init__(self, compiler: Compiler, relation: Connection, site: Site) -> None:
        self.compiler = compiler
        self.relation = relation
        self.site = site
        self.page = Page.of(site.arguments, relation.page)
        self.row, self.condition = compiler.narrowed(relation, site)
        order = relation.order
        self.descending = order.descending(site.arguments) if callable(order.descending) else order.descending
        # bound here, so that a bad cursor or filter is refused whatever is selected
        self.bounds = [
            beyond(order, self.row, site.arguments, name, greater=greater)
            for name, wanted, greater in (
                ("after", self.page.after, not self.descending),
                ("before", self.page.before, self.descending),
            )
            if wanted
        ]
        self.rows: FromClause | None = None
        self.laterals: list[FromClause] = []

    def value(self) -> ColumnElement[Any]:
        """The connection as JSON."""
        pairs: Pairs = []
        chosen = selection.fields(self.compiler.document, self.compiler.recorder, self.site.type, self.site.nodes)
        for key, nodes in chosen.items():
            match nodes[0].name.value:
                case "__typename":
                    pairs.append((key, render.word(self.site.type.name)))
                case "totalCount":
                    pairs.append((key, self._total()))
                case "pageInfo":
                    pairs.append((key, self._page_info(self._type("pageInfo"), nodes)))
                case "nodes":
                    node = self._type("nodes")
                    pairs.append((key, self._listed(self.compiler.pairs(node, nodes, self._rows()))))
                case "edges":
                    pairs.append((key, self._listed(self._edge(nodes))))
        whole = render.json_object(pairs)
        if self.rows is None:
            return whole
        statement = select(whole).select_from(self.rows, *self.laterals).having(literal_column("true"))
        return statement.scalar_subquery()

    def _type(self, field: str, of: GraphQLObjectType | None = None) -> GraphQLObjectType:
        return cast("GraphQLObjectType", get_named_type((of or self.site.type).fields[field].type))

    def _rows(self) -> FromClause:
        """The page and one row more, each with its cursor and its place; made when first needed."""
        if self.rows is None:
            row, order, page = self.row, self.relation.order, self.page
            by = [row.c[name] for name in order.columns]
            directed = [column.desc() if self.descending is not page.backward else column.asc() for column in by]
            statement = (
                select(
                    row,
                    cursor(order, row).label(CURSOR),
                    func.row_number().over(order_by=directed).label(PLACE),
                )
                .select_from(row)
                .where(and_(self.condition, *self.bounds))
                .order_by(*directed)
                .limit(render.number(page.size + 1))
            )
            self.rows = self.site.below(statement).subquery(self.compiler.name())
        return self.rows

    def _listed(self, pairs: Pairs) -> ColumnElement[Any]:
        """The rows of the page as a JSON list of objects, in the order of the list."""
        page = self._rows()
        rows, item = self.compiler.json(pairs, lambda *columns: select(*columns).correlate(page), lateral=True)
        self.laterals.append(rows)
        place = page.c[PLACE]
        listed = func.json_agg(aggregate_order_by(item, place.desc() if self.page.backward else place.asc()))
        return func.coalesce(listed.filter(self._on_page()), render.empty_list())

    def _edge(self, nodes: list[FieldNode]) -> Pairs:
        type_, page = self._type("edges"), self._rows()
        pairs: Pairs = []
        for key, merged in selection.fields(self.compiler.document, self.compiler.recorder, type_, nodes).items():
            match merged[0].name.value:
                case "__typename":
                    pairs.append((key, render.word(type_.name)))
                case "cursor":
                    pairs.append((key, page.c[CURSOR]))
                case "node":
                    pairs.append((key, self._node(self._type("node", type_), merged, page)))
        return pairs

    def _node(self, type_: GraphQLObjectType, nodes: list[FieldNode], page: Row) -> ColumnElement[Any]:
        rows, item = self.compiler.json(
            self.compiler.pairs(type_, nodes, page), lambda *columns: select(*columns).correlate(page)
        )
        return select(render.as_json(item)).select_from(rows).scalar_subquery()

    def _page_info(self, type_: GraphQLObjectType, nodes: list[FieldNode]) -> ColumnElement[Any]:
        chosen = selection.fields(self.compiler.document, self.compiler.recorder, type_, nodes)
        return render.json_object(
            [(key, self._page_fact(type_, merged[0].name.value)) for key, merged in chosen.items()]
        )

    def _page_fact(self, type_: GraphQLObjectType, name: str) -> ColumnElement[Any]:
        page = self._rows()
        match name:
            case "__typename":
                return render.word(type_.name)
            case "hasNextPage":
                return self._goes_on(bounded=self.page.before, ahead=not self.page.backward)
            case "hasPreviousPage":
                return self._goes_on(bounded=self.page.after, ahead=self.page.backward)
            case "startCursor" | "endCursor":
                place = page.c[PLACE]
                first = (name == "startCursor") is not self.page.backward
                ends = func.json_agg(aggregate_order_by(page.c[CURSOR], place.asc() if first else place.desc()))
                return ends.filter(self._on_page()).op("->")(render.number(0))
        raise TypeError(f"{type_.name}.{name} is not a field of a page")

    def _goes_on(self, *, bounded: bool, ahead: bool) -> ColumnElement[bool]:
        """Whether rows lie beyond one side of the page: a cursor's own row, or, ahead, the one more that was read."""
        if ahead and not bounded:
            return func.count() > render.number(self.page.size)
        return literal_column(str(bounded).lower(), Boolean)

    def _on_page(self) -> ColumnElement[bool]:
        return self._rows().c[PLACE] <= render.number(self.page.size)

    def _total(self) -> ColumnElement[Any]:
        """All rows that the filters leave, wherever the page is."""
        row, condition = self.compiler.narrowed(self.relation, self.site)
        counted = select(func.count().cast(Integer)).select_from(row).where(and_(true(), condition))
        return self.site.below(counted).scalar_subquery()


def compiled(compiler: Compiler, relation: Connection, site: Site) -> ColumnElement[Any]:
    """The JSON value of a connection field."""
    return ConnectionCompiler(compiler, relation, site).value()
