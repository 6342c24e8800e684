"""FMAPI's endpoint: GraphQL over POST, whose errors come with HTTP 200."""

import functools
from typing import Any

from graphql import ExecutionResult, GraphQLError, GraphQLResolveInfo, GraphQLSchema, build_schema, graphql_sync
from starlette.responses import JSONResponse

from tests.emulator.errors import ApiError, invalid
from tests.emulator.finetunes import described, events
from tests.emulator.routing import Answer, Call, Routes

PATH = "/api/2.0/genai-mapi/graphql"
BAD_REQUEST = 400
STOPPED = "Canceled by user."


def routes(schema: str) -> Routes:
    return (("POST", PATH, functools.partial(_answer, build_schema(schema))),)


def _answer(schema: GraphQLSchema, call: Call) -> Answer:
    given = call.json()
    query, variables = given.get("query"), given.get("variables") or {}
    if not isinstance(query, str) or not isinstance(variables, dict):
        raise invalid("query is a text and variables an object")
    result = graphql_sync(schema, query, _Root(call), variable_values=variables)
    return JSONResponse(_formatted(result))


def _formatted(result: ExecutionResult) -> dict[str, Any]:
    """An error's `extensions.code` is an HTTP status: 400 where the request itself is wrong."""
    if not result.errors:
        return {"data": result.data}
    told = []
    for error in result.errors:
        formatted: dict[str, Any] = dict(error.formatted)
        code = (error.extensions or {}).get("code", BAD_REQUEST if error.path is None else 500)
        told.append(formatted | {"extensions": {"code": code}})
    return {"data": result.data, "errors": told}


class _Root:
    """The root fields: called with their arguments by graphql-core's default resolver."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._finetunes = call.world.finetunes

    def getFinetunesPaginated(  # noqa: N802  (GraphQL's name)
        self,
        _: GraphQLResolveInfo[Any],
        getFinetunesPaginatedData: dict[str, Any],  # noqa: N803
    ) -> dict[str, Any]:
        page = _refusing(self._finetunes.page, getFinetunesPaginatedData)
        found = [described(one) for one in page.finetunes]
        return {"cursor": page.cursor, "hasNextPage": page.cursor is not None, "finetunes": found}

    def getFinetuneEvents(  # noqa: N802
        self,
        _: GraphQLResolveInfo[Any],
        getFinetuneEventsData: dict[str, Any],  # noqa: N803
    ) -> list[dict[str, str]]:
        return events(_refusing(self._finetunes.get, getFinetuneEventsData["name"]))

    def getFinetuneConstants(self, _: GraphQLResolveInfo[Any]) -> dict[str, Any]:  # noqa: N802
        return {
            "models": [
                {"name": name, "displayName": display, "maxContextLength": context}
                for name, display, context in self._call.world.options.models
            ]
        }

    def createFinetune(  # noqa: N802
        self,
        _: GraphQLResolveInfo[Any],
        createFinetuneData: dict[str, Any],  # noqa: N803
    ) -> dict[str, Any]:
        return described(_refusing(self._finetunes.create, createFinetuneData["config"], self._call.caller))

    def stopFinetunes(  # noqa: N802
        self,
        _: GraphQLResolveInfo[Any],
        getFinetunesData: dict[str, Any],  # noqa: N803
        stopFinetunesData: dict[str, Any] | None = None,  # noqa: N803
    ) -> list[dict[str, Any]]:
        reason = (stopFinetunesData or {}).get("reason") or STOPPED
        return [described(one) for one in _refusing(self._finetunes.stop, getFinetunesData, reason)]

    def deleteFinetunes(  # noqa: N802
        self,
        _: GraphQLResolveInfo[Any],
        getFinetunesData: dict[str, Any],  # noqa: N803
    ) -> list[dict[str, Any]]:
        return [described(one) for one in _refusing(self._finetunes.delete, getFinetunesData)]


def _refusing(ask: Any, *arguments: Any) -> Any:  # noqa: ANN401  (whatever it answers)
    try:
        return ask(*arguments)
    except ApiError as error:
        raise GraphQLError(error.message, extensions={"code": error.status}) from None
