"""The root fields."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from graphql import GraphQLSchema

from server.domain.ids import Kind
from server.domain.status import ACTIVE
from tests.oracle.arguments import Arguments, Check, Info, plain_id, refuse_unstorable
from tests.oracle.connections import CONNECTION, EDGE, Conditions, List, connection
from tests.oracle.curation import JOBS, LABELS, SHEETS, TEMPLATES, TRAINING_SHEETS
from tests.oracle.fields import Field, Resolve, bind, object_type
from tests.oracle.loading import Row

LINEAGE = """
    SELECT * FROM training_job_lineage WHERE model_name = $1 {} ORDER BY created_at DESC, job_id DESC LIMIT 100
"""  # ids sort by creation
NODES: Final[Mapping[str, tuple[str, str]]] = {
    Kind.SHEET: ("Sheet", "sheets"),
    Kind.TEMPLATE: ("Template", "templates"),
    Kind.CANONICAL_LABEL: ("CanonicalLabel", "canonical_labels"),
    Kind.TRAINING_SHEET: ("TrainingSheet", "training_sheets"),
    Kind.QA_PAIR: ("QaPair", "qa_pairs"),
    Kind.JOB: ("TrainingJob", "training_jobs"),
    Kind.EVENT: ("TrainingJobEvent", "training_job_events"),
}


def bind_queries(schema: GraphQLSchema) -> None:
    """Give the root fields, connections and edges their resolvers."""
    query = object_type(schema, "Query")
    bind(
        query,
        {
            "node": Field(_node, Check(type_of=lambda it: _named(it["id"])[0])),
            "trainingJob": _by_id("training_jobs"),
            "trainingJobs": connection(
                List("training_jobs", JOBS, narrow=_matching, ordered=lambda it: it["orderBy"] != "CREATED_AT_ASC"),
                filter=_check_filter,
            ),
            "activeTrainingJobs": connection(
                List("training_jobs", JOBS, narrow=lambda jobs, _: jobs.among("status", sorted(ACTIVE)))
            ),
            "trainingSheet": _by_id("training_sheets"),
            "trainingSheets": connection(List("training_sheets", TRAINING_SHEETS)),
            "sheets": connection(List("sheets", SHEETS)),
            "templates": connection(List("templates", TEMPLATES)),
            "canonicalLabels": connection(List("canonical_labels", LABELS, narrow=_of_sheet)),
            "qaPair": _by_id("qa_pairs"),
            "modelLineage": Field(
                _model_lineage,
                Check(texts={name: partial(refuse_unstorable, name) for name in ("modelName", "modelVersion")}),
            ),
            "baseModels": _base_models,
        },
    )
    for definition in query.fields.values():
        definition.resolve = _unless_refused(definition.resolve)
    bind(object_type(schema, "BaseModel"), {})
    bind(object_type(schema, "PageInfo"), {})
    for name in schema.type_map:
        if name.endswith("Connection"):
            bind(object_type(schema, name), CONNECTION)
            bind(object_type(schema, name.removesuffix("Connection") + "Edge"), EDGE)
    schema.type_map["Node"].resolve_type = _type_of  # type: ignore[attr-defined]  # the interface


def _unless_refused(resolve: Resolve | None) -> Resolve:
    if resolve is None:
        raise TypeError("a root field has no resolver")

    def resolved(root: object, info: Info, **arguments: Any) -> Any:  # noqa: ANN401
        refused = info.context.refused.get(info.path.key)
        if refused is not None:
            raise refused
        return resolve(root, info, **arguments)

    return resolved


def _by_id(table: str) -> Resolve:
    return lambda _, info, id: info.context.row(table, plain_id(id))  # noqa: A006  (the argument's name)


def _node(_root: object, info: Info, id: str) -> Any:  # noqa: A002, ANN401
    _, table = _named(id)
    return None if table is None else info.context.row(table, id)


def _named(id_: str) -> tuple[str, str] | tuple[None, None]:
    """The type and the table that an id names by its prefix."""
    kind, _, rest = plain_id(id_).partition("_")
    return NODES[kind] if rest and kind in NODES else (None, None)


def _type_of(row: Any, _info: Info, _interface: object) -> str:  # noqa: ANN401
    name, _ = NODES[row["id"].partition("_")[0]]
    return name


def _matching(jobs: Conditions, arguments: Arguments) -> None:
    given = {name: value for name, value in (arguments.get("filter") or {}).items() if value is not None}
    if "trainingSheetId" in given:
        jobs.add("t.training_sheet_id = {}", plain_id(given["trainingSheetId"]))
    for member, condition in (
        ("createdBy", "t.created_by = {}"),
        ("modelName", "t.model_name = {}"),
        ("createdAfter", "t.created_at > {}"),
        ("createdBefore", "t.created_at < {}"),
    ):
        if member in given:
            jobs.add(condition, given[member])
    if "trainer" in given:
        jobs.among("trainer", [given["trainer"]])
    if "status" in given:
        jobs.among("status", given["status"])


def _check_filter(given: Arguments) -> None:
    for member in ("createdBy", "modelName"):
        if given.get(member) is not None:
            refuse_unstorable(f"filter.{member}", given[member])


def _of_sheet(labels: Conditions, arguments: Arguments) -> None:
    if arguments.get("sheetId") is not None:
        labels.add("t.sheet_id = {}", plain_id(arguments["sheetId"]))


async def _model_lineage(_root: object, info: Info, **arguments: Any) -> list[Row]:  # noqa: ANN401
    values = [arguments["modelName"]]
    version = arguments.get("modelVersion")
    if version is not None:
        values.append(version)
    return await info.context.pool.fetch(LINEAGE.format("" if version is None else "AND model_version = $2"), *values)


def _base_models(_root: object, info: Info, trainer: str | None = None) -> Any:  # noqa: ANN401
    return [model for model in info.context.base_models if trainer in {None, model["trainer"]}]
