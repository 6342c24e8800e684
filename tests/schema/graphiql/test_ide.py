import gzip
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from httpx import ASGITransport, AsyncClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from schema.graphiql.ide import FILES, FOLDER, INSTALL, Ide

OPERATIONS = 'query A { a(b: "</script><script>alert(1)</script>", c: "it\'s & $jobId ${x}") }\n\nquery B { b }\n'
OWN_FILES = ("index.html", "missing.html", "page.js", "icon.svg")


class Elements(HTMLParser):
    """Every element of a page: (tag, attributes), and the texts of its scripts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def addresses(self) -> Iterator[str]:
        for _, attributes in self.found:
            yield from (value for name in ("src", "href") if (value := attributes.get(name)))

    def __getitem__(self, name: str) -> dict[str, str | None]:
        return next(attributes for _, attributes in self.found if attributes.get("id") == name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Our own files beside tiny stand-ins for what npm installs."""
    for name in OWN_FILES:
        (tmp_path / name).write_bytes((FOLDER / name).read_bytes())
    (tmp_path / "package.json").write_text("{}")
    for name, file in FILES.items():
        path = tmp_path / file
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"/* {name} */" * 50)
    return tmp_path


def client(folder: Path) -> AsyncClient:
    ide = Ide(endpoint="/graphql", assets_path="/graphql/assets", operations=OPERATIONS, folder=folder)

    async def page(_: Request) -> Response:
        return await ide.page()

    app = Starlette(routes=[Mount("/graphql/assets", ide.assets), Route("/graphql", page)])
    return AsyncClient(transport=ASGITransport(app), base_url="http://test", headers={"Accept-Encoding": "identity"})


async def test_the_page_loads_every_file_from_its_own_server(folder: Path) -> None:
    async with client(folder) as browser:
        page = await browser.get("/graphql")
        addresses = list(Elements(page.text).addresses())
        answers = [await browser.get(address) for address in addresses]

    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert [address.removeprefix("/graphql/assets/").split("?")[0] for address in addresses] == [
        "icon.svg",
        "graphiql.css",
        "explorer.css",
        "react.js",
        "react_dom.js",
        "graphiql.js",
        "explorer.js",
        "page.js",
    ]
    assert [answer.status_code for answer in answers] == [200] * len(FILES)


async def test_the_page_names_no_other_site_and_forbids_reaching_one(folder: Path) -> None:
    async with client(folder) as browser:
        page = await browser.get("/graphql")

    assert "//" not in page.text
    assert page.headers["content-security-policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "font-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["cache-control"] == "no-cache"
    assert page.headers["vary"] == "Accept"


async def test_the_operations_reach_the_page_unchanged_and_cannot_become_markup(folder: Path) -> None:
    async with client(folder) as browser:
        page = await browser.get("/graphql")
    elements = Elements(page.text)

    assert elements["graphiql"] == {"id": "graphiql", "data-endpoint": "/graphql", "data-operations": OPERATIONS}
    assert "alert(1)</script>" not in page.text
    scripts = [attributes for tag, attributes in elements.found if tag == "script"]
    assert [set(attributes) for attributes in scripts] == [{"defer", "src"}] * 5


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("graphiql.js", "text/javascript; charset=utf-8"),
        ("page.js", "text/javascript; charset=utf-8"),
        ("explorer.css", "text/css; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
    ],
)
async def test_a_file_has_its_own_content_and_media_type(folder: Path, name: str, media_type: str) -> None:
    async with client(folder) as browser:
        answer = await browser.get(f"/graphql/assets/{name}")

    assert answer.status_code == 200
    assert answer.headers["content-type"] == media_type
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.content == (folder / FILES[name]).read_bytes()


@pytest.mark.parametrize(
    "path",
    [
        "",
        "nothing.js",
        "index.html",
        "missing.html",
        "package.json",
        "../package.json",
        "..%2fpackage.json",
        "%2e%2e/ide.py",
        "page.js/",
        "page.js%00",
        "PAGE.JS",
        "node_modules/react/umd/react.production.min.js",
        "/etc/passwd",
    ],
)
async def test_only_listed_files_are_served(folder: Path, path: str) -> None:
    async with client(folder) as browser:
        answer = await browser.get(f"/graphql/assets/{path}")

    assert answer.status_code == 404


async def test_a_file_can_only_be_read(folder: Path) -> None:
    async with client(folder) as browser:
        answer = await browser.post("/graphql/assets/page.js")

    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}


async def test_a_file_is_kept_for_ever_under_the_address_that_names_its_content(folder: Path) -> None:
    async with client(folder) as browser:
        page = await browser.get("/graphql")
        address = next(a for a in Elements(page.text).addresses() if "page.js" in a)
        named = await browser.get(address)
        unnamed = await browser.get("/graphql/assets/page.js")
        outdated = await browser.get("/graphql/assets/page.js?v=0123456789abcdef")

    assert named.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert unnamed.headers["cache-control"] == outdated.headers["cache-control"] == "no-cache"
    assert named.content == unnamed.content == outdated.content


async def test_the_address_of_a_file_changes_with_its_content(folder: Path) -> None:
    async with client(folder) as browser:
        before = list(Elements((await browser.get("/graphql")).text).addresses())
    (folder / FILES["react.js"]).write_text("changed")
    async with client(folder) as browser:
        after = list(Elements((await browser.get("/graphql")).text).addresses())

    assert [new.split("?")[0] for old, new in zip(before, after, strict=True) if old != new] == [
        "/graphql/assets/react.js"
    ]


@pytest.mark.parametrize("tag", ["{}", 'W/"other", {}', "*"])
async def test_a_browser_that_has_a_file_is_not_sent_it_again(folder: Path, tag: str) -> None:
    async with client(folder) as browser:
        first = await browser.get("/graphql/assets/react.js")
        again = await browser.get(
            "/graphql/assets/react.js", headers={"If-None-Match": tag.format(first.headers["etag"])}
        )
        changed = await browser.get("/graphql/assets/react.js", headers={"If-None-Match": 'W/"other"'})

    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert (changed.status_code, changed.content) == (200, first.content)


async def test_a_file_is_compressed_for_those_who_ask(folder: Path) -> None:
    async with client(folder) as browser:
        plain = await browser.get("/graphql/assets/react.js")
        async with browser.stream(
            "GET", "/graphql/assets/react.js", headers={"Accept-Encoding": "br, gzip"}
        ) as compressed:
            content = b"".join([part async for part in compressed.aiter_raw()])

    assert "content-encoding" not in plain.headers
    assert compressed.headers["content-encoding"] == "gzip"
    assert compressed.headers["content-type"] == plain.headers["content-type"]
    assert plain.headers["vary"] == compressed.headers["vary"] == "Accept-Encoding"
    assert len(content) < len(plain.content)
    assert gzip.decompress(content) == plain.content


async def test_without_its_files_the_page_says_how_to_install_them(folder: Path) -> None:
    missing = folder / FILES["graphiql.js"]
    missing.unlink()
    async with client(folder) as browser:
        page = await browser.get("/graphql")
        asset = await browser.get("/graphql/assets/page.js")

    assert page.status_code == 503
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert f"<pre>{INSTALL}</pre>" in page.text
    assert f"<li><code>{FILES['graphiql.js']}</code></li>" in page.text
    assert page.text.count("<li>") == 1
    assert "//" not in page.text
    assert [tag for tag, _ in Elements(page.text).found if tag in {"script", "link"}] == []
    assert asset.status_code == 404


async def test_files_installed_meanwhile_are_found_without_a_restart(folder: Path) -> None:
    missing = folder / FILES["graphiql.js"]
    content = missing.read_bytes()
    missing.unlink()
    async with client(folder) as browser:
        before = await browser.get("/graphql")
        missing.write_bytes(content)
        after = await browser.get("/graphql")
        asset = await browser.get("/graphql/assets/graphiql.js")

    assert (before.status_code, after.status_code) == (503, 200)
    assert asset.content == content
