"""The bugs: exact texts of the sources, and what stands there instead."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

SELECTION, ARGUMENTS = "schema/reads/selection.py", "schema/reads/arguments.py"
COMPILER, CONNECTIONS = "schema/reads/compiler.py", "schema/reads/connections.py"
CURSORS, RENDER = "schema/reads/cursors.py", "schema/reads/render.py"
VARIABLES = "schema/execution/variables.py"
QUERY, CURATION = "schema/roots/query.py", "schema/types/curation.py"
JOBS, METRICS = "schema/types/jobs.py", "schema/types/metrics.py"


class Outdated(Exception):
    """A text that is to be replaced is not in its file, or not once."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One bug. `old` stands once in `file`."""

    name: str
    file: str
    old: str
    new: str

    def check(self, folder: Path) -> None:
        """Raise `Outdated` when the sources have changed where the bug would stand."""
        if (times := (folder / self.file).read_text().count(self.old)) != 1:
            raise Outdated(
                f"{self.name}: {self.file} has this {times} times, not once; bring it up to date:\n{self.old}"
            )

    def plant(self, folder: Path) -> None:
        """Write the bug into a copy of the sources. Raises `Outdated`."""
        self.check(folder)
        path = folder / self.file
        path.write_text(path.read_text().replace(self.old, self.new))


MUTANTS: Final = (
    Mutant(
        "join key: a job's sheet by the wrong column",
        CURATION,
        "on=lambda training, sheet: sheet.c.id == training.c.sheet_id",
        "on=lambda training, sheet: sheet.c.id == training.c.template_id",
    ),
    Mutant(
        "join key: the events of all jobs",
        JOBS,
        "on=lambda job, event: event.c.job_id == job.c.id",
        "on=lambda job, event: event.c.job_id == event.c.job_id",
    ),
    Mutant(
        "order: a list the other way round",
        CURATION,
        'Order("sheets", CREATED, descending=True)',
        'Order("sheets", CREATED)',
    ),
    Mutant("order: the oldest lineage first", QUERY, "lineage.c.job_id.desc()", "lineage.c.job_id.asc()"),
    Mutant(
        "tiebreak: no unique column at the end of an order",
        CONNECTIONS,
        "by = [row.c[name] for name in order.columns]",
        "by = [row.c[name] for name in order.columns[:1]]",
    ),
    Mutant(
        "cursor direction: after reads what is before",
        CONNECTIONS,
        '("after", self.page.after, not self.descending)',
        '("after", self.page.after, self.descending)',
    ),
    Mutant(
        "cursor strictness: the cursor's own row again",
        CURSORS,
        "position > bound if greater else position < bound",
        "position >= bound if greater else position <= bound",
    ),
    Mutant(
        "cursor precision: milliseconds",
        CURSORS,
        '"%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)',
        '"%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC, microsecond=0)',
    ),
    Mutant("cursor tag: the cursor of any list", CURSORS, " or parts[0] != order.tag", ""),
    Mutant("page size: the largest page", CONNECTIONS, "LARGEST_PAGE = 100", "LARGEST_PAGE = 101"),
    Mutant("page size: the page that nobody chose", "schema/reads/declare.py", "page: int = 20", "page: int = 19"),
    Mutant(
        "page size: one row less", CONNECTIONS, "<= render.number(self.page.size)", "< render.number(self.page.size)"
    ),
    Mutant(
        "has next: a full page goes on",
        CONNECTIONS,
        "func.count() > render.number(self.page.size)",
        "func.count() >= render.number(self.page.size)",
    ),
    Mutant(
        "has previous: never behind a cursor", CONNECTIONS, "bounded=self.page.after, ahead", "bounded=False, ahead"
    ),
    Mutant(
        "last: in the wrong order",
        CONNECTIONS,
        "aggregate_order_by(item, place.desc() if self.page.backward else place.asc())",
        "aggregate_order_by(item, place.asc())",
    ),
    Mutant("start and end: swapped", CONNECTIONS, '(name == "startCursor")', '(name == "endCursor")'),
    Mutant(
        "filter dropped: trainer",
        QUERY,
        'conditions.append(job.c.trainer == word(arguments.literal("filter", "trainer")))',
        'arguments.literal("filter", "trainer")',
    ),
    Mutant(
        "filter swapped: createdAfter and createdBefore",
        QUERY,
        'job.c.created_at > arguments.bind(DateTime(timezone=True), "filter", "createdAfter")',
        'job.c.created_at < arguments.bind(DateTime(timezone=True), "filter", "createdAfter")',
    ),
    Mutant(
        "filter: an empty list lets everything pass",
        RENDER,
        'literal_column("false", Boolean)',
        'literal_column("true", Boolean)',
    ),
    Mutant(
        "alias: answered under the field's name", SELECTION, "(field.alias or field.name).value", "field.name.value"
    ),
    Mutant(
        "alias: collides with a name of the compiler",
        COMPILER,
        'return f"r${next(self._names)}"',
        'return f"r{next(self._names)}"',
    ),
    Mutant("alias: cut at 63 bytes", RENDER, "LONGEST_LABEL = 63", "LONGEST_LABEL = 630"),
    Mutant(
        "arguments of an alias: those of the field's first node",
        ARGUMENTS,
        "known = self._read.get(id(node))\n        if known is None:\n            known = self._read[id(node)] =",
        "known = self._read.get(id(definition))\n"
        "        if known is None:\n"
        "            known = self._read[id(definition)] =",
    ),
    Mutant(
        "merged fields: the first selection alone",
        SELECTION,
        "merged.setdefault((field.alias or field.name).value, []).append(field)",
        "merged.setdefault((field.alias or field.name).value, [field])",
    ),
    Mutant(
        "fragment type: applies to every type",
        SELECTION,
        "return named is not None and is_abstract_type(named) and schema.is_sub_type(named, runtime_type)",
        "return named is not None",
    ),
    Mutant(
        "fragment type: never on an interface or a union",
        SELECTION,
        "return named is not None and is_abstract_type(named) and schema.is_sub_type(named, runtime_type)",
        "return False",
    ),
    Mutant(
        "fragment: skipped once, never included again",
        SELECTION,
        "        if not _included(recorder, selection):\n            continue\n",
        "        if not _included(recorder, selection):\n"
        "            opened.update({selection.name.value} if isinstance(selection, FragmentSpreadNode) else ())\n"
        "            continue\n",
    ),
    Mutant("null against empty: no list where there is nothing", RENDER, "'[]'::json", "NULL::json"),
    Mutant(
        "number range: 64 bits through a float",
        METRICS,
        "func.array_agg(aggregate_order_by(kept.c.step, by_step))",
        "func.array_agg(aggregate_order_by(func.float8(kept.c.step), by_step))",
    ),
    Mutant("datetime precision: milliseconds", RENDER, "HH24:MI:SS.US", "HH24:MI:SS.MS"),
    Mutant(
        "datetime zone: not UTC", RENDER, "literal_column(\"'UTC'\", Text)", "literal_column(\"'Asia/Tokyo'\", Text)"
    ),
    Mutant(
        "variable: null where its default should stand",
        VARIABLES,
        "            dict(given),\n",
        "            {one.variable.name.value: None for one in self._definitions} | dict(given),\n",
    ),
    Mutant(
        "variable: nothing where a text's default should stand",
        VARIABLES,
        "if definition.default_value\n",
        "if False\n",
    ),
    Mutant(
        "skip and include: include alone counts",
        SELECTION,
        "condition(GraphQLSkipDirective) is not True and condition(GraphQLIncludeDirective) is not False",
        "condition(GraphQLIncludeDirective) is not False",
    ),
    Mutant(
        "total: only what is behind the cursor",
        CONNECTIONS,
        "row, condition = self.compiler.narrowed(self.relation, self.site)\n        counted =",
        "row, condition = self.compiler.narrowed(self.relation, self.site)\n"
        "        if self.page.after:\n"
        "            behind = not self.relation.order.descending\n"
        '            bound = beyond(self.relation.order, row, self.site.arguments, "after", greater=behind)\n'
        "            condition = and_(condition, bound)\n"
        "        counted =",
    ),
    Mutant(
        "plan key: forgets which values were given",
        ARGUMENTS,
        "return bool(self.shape(lambda value: value is not None, *path))",
        "return bool(self.recorder.ask(self._made(lambda value: value is not None, path), fixed=True))",
    ),
    Mutant(
        "plan key: forgets the conditions of @skip and @include",
        SELECTION,
        "request.directive(directive, node), fixed=fixed)",
        "request.directive(directive, node), fixed=True)",
    ),
    Mutant(
        "plan key: one value for all requests",
        ARGUMENTS,
        "return self.recorder.bind(fill, type_, fixed=self._fixed(path))",
        "return self.recorder.bind(fill, type_, fixed=True)",
    ),
    Mutant(
        "thinning: the greatest values are lost",
        METRICS,
        "every.c.value.desc().nulls_last()",
        "every.c.value.asc().nulls_last()",
    ),
    Mutant(
        "exclusions: rules that refused nothing",
        JOBS,
        'row.c["count"] > literal_column("0")',
        'row.c["count"] >= literal_column("0")',
    ),
)
