"""Files to import, and what an import left in the database."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import create_async_engine

from server.imports.import_file import ImportReport, import_file
from server.services.curation import Curation
from server.storage.migrations import driver_url
from tests.server.services.desk import ANNA, Desk

TABLES = ("sheets", "templates", "training_sheets", "canonical_labels", "qa_pairs")


@dataclass(frozen=True)
class Importer:
    """Writes lines to a file and imports it; names that a test doesn't give are always the same."""

    desk: Desk
    folder: Path

    def write(self, *lines: dict[str, Any] | str | bytes, name: str = "examples.jsonl") -> Path:
        path = self.folder / name
        path.write_bytes(b"".join(_encoded(line) + b"\n" for line in lines))
        return path

    async def lines(self, *lines: dict[str, Any] | str | bytes, **options: Any) -> ImportReport:  # noqa: ANN401
        return await self.file(self.write(*lines), **options)

    async def file(self, path: Path, **options: Any) -> ImportReport:  # noqa: ANN401  (those of import_file)
        names = {"sheet": "invoices", "template": "desk", "training_sheet": "invoice desk", "caller": ANNA}
        return await import_file(self.desk.engine, path, **{**names, **options})

    async def everything(self) -> dict[str, list[tuple[Any, ...]]]:
        return {table: await self.desk.rows(f"SELECT * FROM {table} ORDER BY id") for table in TABLES}

    async def nothing(self) -> bool:
        return not any((await self.everything()).values())


def _encoded(line: dict[str, Any] | str | bytes) -> bytes:
    match line:
        case dict():
            return json.dumps(line, ensure_ascii=False).encode()
        case str():
            return line.encode()
    return line


def asked(question: str = "When is it due?", answer: str = "In 30 days.", **more: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"prompt": question, "response": answer, **more}


def labelled(item_ref: str, data: object, **uses: list[str]) -> dict[str, Any]:
    label = {"label_type": "answer", "label_data": data, **uses}
    return asked(f"What of {item_ref}?", item_ref=item_ref, status="labeled", canonical_label=label)


def recorder() -> tuple[list[tuple[int, int, int]], Callable[[int, int, int], None]]:
    """A list, and a progress callback that fills it."""
    seen: list[tuple[int, int, int]] = []
    return seen, lambda done, total, pairs: seen.append((done, total, pairs))


@asynccontextmanager
async def importer(database_url: str, folder: Path) -> AsyncIterator[Importer]:
    engine = create_async_engine(driver_url(database_url))
    try:
        yield Importer(Desk(engine, Curation(engine), "", "", ""), folder)
    finally:
        await engine.dispose()
