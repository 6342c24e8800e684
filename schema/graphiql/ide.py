"""The IDE in the browser: GraphiQL's page, and the files that it loads, served without any other site."""

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from http import HTTPStatus
from pathlib import Path
from string import Template

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp

from server.threads import Threads

FOLDER = Path(__file__).parent
INSTALL = "sh schema/graphiql/install.sh"

# What the page loads: its name in the address → the file in FOLDER. Nothing else is served.
FILES: Mapping[str, str] = {
    "react.js": "node_modules/react/umd/react.production.min.js",
    "react_dom.js": "node_modules/react-dom/umd/react-dom.production.min.js",
    "graphiql.js": "node_modules/graphiql/graphiql.min.js",
    "graphiql.css": "node_modules/graphiql/graphiql.min.css",
    "explorer.js": "node_modules/@graphiql/plugin-explorer/dist/index.umd.js",
    "explorer.css": "node_modules/@graphiql/plugin-explorer/dist/style.css",
    "page.js": "page.js",
    "icon.svg": "icon.svg",
}
MEDIA_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}

PAGE_HEADERS = {
    # GraphiQL writes style elements, and keeps its fonts and images in its style sheet as data: addresses.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "font-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-cache",
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept",  # the same address answers GraphQL as well
    "X-Content-Type-Options": "nosniff",
}
FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class Asset:
    """One file as it is sent; `version` is a digest of its content."""

    media_type: str
    version: str
    content: bytes
    compressed: bytes


def read_asset(path: Path) -> Asset:
    """Read and compress one file. Raises FileNotFoundError."""
    content = path.read_bytes()
    return Asset(
        media_type=MEDIA_TYPES[path.suffix],
        version=hashlib.sha256(content).hexdigest()[:16],
        content=content,
        compressed=gzip.compress(content, compresslevel=6, mtime=0),
    )


class Ide:
    """GraphiQL for one GraphQL endpoint: `page()` answers a browser there, `assets` is mounted at `assets_path`.

    It opens with the text of `operations`. The files are read at the first request that needs them and kept;
    as long as they are not installed, each request looks again.
    """

    def __init__(self, *, endpoint: str, assets_path: str, operations: str, folder: Path = FOLDER) -> None:
        self.assets: ASGIApp = Router([Route("/{name}", self._asset, methods=["GET"])], redirect_slashes=False)
        self._endpoint = endpoint
        self._assets_path = assets_path
        self._operations = operations
        self._folder = folder
        self._threads = Threads(1, "GraphiQL")
        self._loaded: Mapping[str, Asset] = {}

    async def page(self) -> Response:
        """GraphiQL, or how to install it (503)."""
        if not self._loaded and (missing := [file for file in FILES.values() if not (self._folder / file).is_file()]):
            return self._render(
                "missing.html",
                HTTPStatus.SERVICE_UNAVAILABLE,
                {"endpoint": escape(self._endpoint), "command": INSTALL, "files": _items(missing)},
            )
        addresses = {
            name.replace(".", "_"): escape(f"{self._assets_path}/{name}?v={asset.version}")
            for name, asset in (await self._load()).items()
        }
        return self._render(
            "index.html",
            HTTPStatus.OK,
            addresses | {"endpoint": escape(self._endpoint), "operations": escape(self._operations)},
        )

    def _render(self, template: str, status: HTTPStatus, html: Mapping[str, str]) -> Response:
        page = Template((self._folder / template).read_text(encoding="utf-8")).substitute(html)
        return HTMLResponse(page, status, PAGE_HEADERS)

    async def _asset(self, request: Request) -> Response:
        try:
            asset = (await self._load()).get(request.path_params["name"])
        except FileNotFoundError:
            asset = None
        if asset is None:
            return PlainTextResponse("Not Found", HTTPStatus.NOT_FOUND)
        headers = {
            # weak, because the compressed and the plain form share it
            "ETag": f'W/"{asset.version}"',
            "Cache-Control": FOR_EVER if request.query_params.get("v") == asset.version else "no-cache",
            "Vary": "Accept-Encoding",
            "X-Content-Type-Options": "nosniff",
        }
        if _has(request.headers, asset):
            return Response(None, HTTPStatus.NOT_MODIFIED, headers)
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(asset.compressed, HTTPStatus.OK, headers | {"Content-Encoding": "gzip"}, asset.media_type)
        return Response(asset.content, HTTPStatus.OK, headers, asset.media_type)

    async def _load(self) -> Mapping[str, Asset]:
        """All the files. Raises FileNotFoundError while one is not installed."""
        if not self._loaded:
            self._loaded = await self._threads.call(_read_assets, self._folder)
        return self._loaded


def _read_assets(folder: Path) -> Mapping[str, Asset]:
    return {name: read_asset(folder / file) for name, file in FILES.items()}


def _has(headers: Headers, asset: Asset) -> bool:
    """Whether the browser already has this content."""
    tags = [tag.strip().removeprefix("W/") for tag in headers.get("if-none-match", "").split(",")]
    return f'"{asset.version}"' in tags or tags == ["*"]


def _items(texts: list[str]) -> str:
    return "".join(f"<li><code>{escape(text)}</code></li>" for text in texts)
