"""Where the application sends what it is asked."""

import httpx


async def test_the_api_s_routes_are_served(client: httpx.AsyncClient) -> None:
    response = await client.post("/graphql", content=b"12345")
    assert response.json() == {"method": "POST", "path": "/graphql", "bytes": 5}


async def test_what_is_not_there_is_not_found(client: httpx.AsyncClient) -> None:
    assert [(await client.get(path)).status_code for path in ("/nothing", "/graphql/nothing")] == [404, 404]
    assert (await client.post("/healthz")).status_code == 405


async def test_the_root_leads_to_graphql(client: httpx.AsyncClient) -> None:
    response = await client.get("/")
    assert (response.status_code, response.headers["location"]) == (307, "/graphql")
