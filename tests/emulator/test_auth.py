"""Who may call."""

import httpx
import pytest

from tests.emulator.clients import Client
from tests.emulator.world import World

ME = "/api/2.0/preview/scim/v2/Me"
BASIC = httpx.BasicAuth("client", "secret")
GRANT = {"grant_type": "client_credentials", "scope": "all-apis"}


async def _me(client: Client, authorization: str | None) -> httpx.Response:
    """Without the client's own token."""
    client.http.headers.pop("Authorization", None)
    headers = {} if authorization is None else {"Authorization": authorization}
    return await client.http.get(ME, headers=headers)


@pytest.mark.parametrize(
    ("authorization", "status", "message"),
    [
        (None, 401, "Credential was not sent or was of an unsupported type for this API."),
        ("Basic eDp5", 401, "Credential was not sent or was of an unsupported type for this API."),
        ("Bearer other", 403, "Invalid access token."),
    ],
)
async def test_who_is_not_known_is_refused_before_anything_happens(
    client: Client, authorization: str | None, status: int, message: str
) -> None:
    answer = await _me(client, authorization)
    created = await client.post("/api/2.0/mlflow/experiments/create", name="/e")

    assert (answer.status_code, answer.json()) == (status, {"error_code": status, "message": message})
    assert created.status_code == 401
    assert client.world.tracking.experiments == {}


async def test_a_personal_access_token_is_its_owner(client: Client) -> None:
    answer = await _me(client, f"Bearer {client.world.options.token}")

    assert (answer.json()["userName"], answer.json()["emails"][0]["value"]) == ("me@example.com", "me@example.com")


async def test_a_service_principal_s_token_works_until_it_expires(client: Client, world: World) -> None:
    config = (await client.get("/.well-known/databricks-config")).json()
    assert (config["oidc_endpoint"], config["workspace_id"]) == ("http://databricks/oidc", "999")
    server = (await client.get("/oidc/.well-known/oauth-authorization-server")).json()
    token = (await client.http.post(server["token_endpoint"], data=GRANT, auth=BASIC)).json()
    assert (token["token_type"], token["expires_in"]) == ("Bearer", 3600)
    authorization = f"Bearer {token['access_token']}"

    assert (await _me(client, authorization)).json()["userName"] == "client"
    world.clock.advance(3599)
    assert (await _me(client, authorization)).status_code == 200
    world.clock.advance(1)
    assert (await _me(client, authorization)).status_code == 401


@pytest.mark.parametrize(
    ("auth", "form", "status", "error"),
    [
        (httpx.BasicAuth("client", "wrong"), GRANT, 401, "invalid_client"),
        (BASIC, {**GRANT, "grant_type": "password"}, 400, "unsupported_grant_type"),
        (BASIC, {"grant_type": "client_credentials"}, 400, "invalid_scope"),
    ],
)
async def test_a_token_is_given_to_who_proves_to_be_the_principal(
    client: Client, auth: httpx.Auth, form: dict[str, str], status: int, error: str
) -> None:
    answer = await client.http.post("/oidc/v1/token", data=form, auth=auth)

    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert client.world.issued == {}


async def test_credentials_are_not_recorded(client: Client) -> None:
    await client.get(ME)

    assert [name for call in client.world.requests for name in call.headers if name == "authorization"] == []


async def test_an_api_that_is_not_there_says_so(client: Client) -> None:
    answer = await client.get("/api/2.0/nothing")

    assert answer.status_code == 404
    assert answer.json() == {"error_code": "ENDPOINT_NOT_FOUND", "message": "No API found for 'GET /api/2.0/nothing'"}
