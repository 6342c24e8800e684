"""The endpoints, put together."""

from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from tests.emulator import (
    auth,
    catalog,
    compute,
    control,
    files,
    fmapi,
    jobs,
    lakebase,
    logs,
    tracking,
    unity,
    workspace,
)
from tests.emulator.gate import Gate
from tests.emulator.routing import routes
from tests.emulator.world import World

SCHEMA = Path(__file__).with_name("fmapi.graphql")


def application(world: World) -> ASGIApp:
    """The endpoints of this world, behind the gate."""
    services = (auth, catalog, compute, files, jobs, lakebase, logs, tracking, unity, workspace)
    tables = [*(service.ROUTES for service in services), fmapi.routes(SCHEMA.read_text()), control.ROUTES]
    unknown = {404: _unknown, 405: _unknown}
    return Gate(
        Starlette(routes=[route for table in tables for route in routes(world, table)], exception_handlers=unknown),
        world,
    )


def _unknown(request: Request, _: Exception) -> Response:
    message = f"No API found for '{request.method} {request.url.path}'"
    return JSONResponse({"error_code": "ENDPOINT_NOT_FOUND", "message": message}, 404)
