"""Who may call: a personal access token, or a service principal's OAuth token."""

import base64
import binascii
from collections.abc import Mapping
from urllib.parse import parse_qs

from starlette.responses import JSONResponse

from tests.emulator.errors import ApiError
from tests.emulator.routing import Answer, Call, Routes
from tests.emulator.world import WORKSPACE_ID, World

OPEN = ("/.well-known/", "/oidc/")


def caller(world: World, path: str, headers: Mapping[str, str]) -> str:
    """The name of who calls.

    The refusals are worded as the proxy in front of a workspace words them, where `error_code` is a number.
    """
    if path.startswith(OPEN):
        return ""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not given:
        raise ApiError(401, 401, "Credential was not sent or was of an unsupported type for this API.")
    if given == world.options.token:
        return world.options.user
    expires = world.issued.get(given)
    if expires is None:
        raise ApiError(403, 403, "Invalid access token.")
    if expires <= world.clock.now():
        raise ApiError(401, 401, "The access token expired.")
    return world.options.client_id


def _config(call: Call) -> Answer:
    return {"oidc_endpoint": f"{call.base_url}/oidc", "workspace_id": str(WORKSPACE_ID)}


def _server(call: Call) -> Answer:
    base = f"{call.base_url}/oidc"
    return {
        "issuer": base,
        "authorization_endpoint": f"{base}/v1/authorize",
        "token_endpoint": f"{base}/v1/token",
        "grant_types_supported": ["client_credentials"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        "scopes_supported": ["all-apis"],
    }


def _token(call: Call) -> Answer:
    options = call.world.options
    form = {name: values[-1] for name, values in parse_qs(call.body.decode()).items()}
    if _basic(call.headers.get("authorization", "")) != (options.client_id, options.client_secret):
        error = {"error": "invalid_client", "error_description": "Client authentication failed"}
        return JSONResponse(error, 401)
    if form.get("grant_type") != "client_credentials":
        return JSONResponse({"error": "unsupported_grant_type"}, 400)
    if form.get("scope") != "all-apis":
        return JSONResponse({"error": "invalid_scope"}, 400)
    token = f"eo-{call.world.ids.hexadecimal(40)}"
    call.world.issued[token] = call.world.clock.now() + options.token_lifetime
    lifetime = int(options.token_lifetime)
    return {"access_token": token, "token_type": "Bearer", "expires_in": lifetime, "scope": "all-apis"}


def _basic(header: str) -> tuple[str, str]:
    scheme, _, given = header.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        name, _, secret = base64.b64decode(given, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return name, secret


def _me(call: Call) -> Answer:
    person = call.caller == call.world.options.user
    return {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "id": "1001" if person else "1002",
        "userName": call.caller,
        "displayName": call.caller.partition("@")[0],
        "active": True,
        "emails": [{"type": "work", "value": call.caller, "primary": True}] if person else [],
        "groups": [{"display": "users", "type": "direct", "value": "1"}],
    }


ROUTES: Routes = (
    ("GET", "/.well-known/databricks-config", _config),
    ("GET", "/oidc/.well-known/oauth-authorization-server", _server),
    ("POST", "/oidc/v1/token", _token),
    ("GET", "/api/2.0/preview/scim/v2/Me", _me),
)
