"""The response headers that keep a browser from handing what it gets here to the pages of other sites."""

import httpx


async def test_browsers_are_told_to_keep_others_out(client: httpx.AsyncClient) -> None:
    page = await client.get("/nothing")
    assert page.headers["content-type"] == "text/plain; charset=utf-8"
    for response in (page, await client.get("/graphql")):
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["cross-origin-resource-policy"] == "same-origin"
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["cross-origin-opener-policy"] == "same-origin"


async def test_what_the_application_says_itself_stays(client: httpx.AsyncClient) -> None:
    response = await client.get("/graphql")
    assert response.headers["content-type"] == "application/json"
    assert response.headers["referrer-policy"] == "origin"
    assert "x-frame-options" not in response.headers, "data is no page"
    posted = await client.post("/graphql")
    assert posted.headers["x-content-type-options"] == "nosniff"
    assert "cross-origin-resource-policy" not in posted.headers, "no page can embed what only a POST gets"
