"""Where the application sends what it is asked."""

import httpx


async def test_graphql_gets_its_path_and_everything_below(client: httpx.AsyncClient) -> None:
    at_it = await client.post("/graphql", content=b"12345")
    below = await client.get("/graphql/assets/1/page.js")
    assert at_it.json() == {"method": "POST", "path": "/graphql", "bytes": 5}
    assert below.json() == {"method": "GET", "path": "/graphql/assets/1/page.js", "bytes": 0}


async def test_the_root_leads_to_graphql(client: httpx.AsyncClient) -> None:
    response = await client.get("/")
    assert (response.status_code, response.headers["location"]) == (307, "/graphql")
