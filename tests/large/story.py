"""The story: 100,000 pairs are imported, judged, frozen, exported, trained on and read, on the real program."""

import asyncio
import hashlib
from pathlib import Path

import asyncpg

from server.commands.demo.client import Client, Data
from server.postgres import database
from tests.e2e import jobs, trainings
from tests.large import account, process, questions, sheet
from tests.large.account import Promise
from tests.large.chapters import Book
from tests.large.paging import Listed
from tests.large.process import Server
from tests.large.watching import memory

PAIRS = sheet.ELIGIBLE
MOST_OF_IMPORTER = 300 * account.MEGABYTE
TIMEOUT = 60.0  # seconds for one answer
TRAINING = 900.0  # seconds
IDLE = 3.0  # seconds
BETWEEN_LOOKS = 0.02  # seconds
JUDGED = 3  # times
QUICK = 0.100  # seconds that 95 of 100 small queries take at most while eligibility is worked out
POINTS = 100_000
SPIKES = {31_415: 1_000.0, 92_653: -1_000.0}


async def story() -> bool:
    """Tell it; whether every promise was kept."""
    async with process.server() as server, Client.open(server.authority) as client:
        client.http.timeout = TIMEOUT
        with memory(server.pid) as its_memory:
            book = Book(server, client, its_memory)
            promises = await _tell(book)
    return account.tell(book.chapters, [*account.pauses(book.chapters), *promises])


async def _tell(book: Book) -> list[Promise]:
    book.asked = await jobs.make_training_sheet(book.client)
    async with book.chapter("nothing"):
        await asyncio.sleep(IDLE)
    sheet_id, imported = await _import(book)
    promises = [*imported, *await _judge(book, sheet_id)]
    job_id, created = await _create(book, sheet_id)
    promises += [*created, *await _train(book, job_id), *await _exported(book, job_id)]
    return [*promises, *await _read(book, sheet_id, job_id), *await _measure(book, job_id)]


def _ended(state: Data) -> bool:
    return state["status"] in {"SUCCEEDED", "FAILED", "CANCELLED"}


async def _import(book: Book) -> tuple[str, list[Promise]]:
    file, log = book.server.data_dir / "pairs.jsonl", book.server.data_dir / "import.log"
    await asyncio.to_thread(sheet.write, file)
    names = ("--sheet", "Large", "--template", "Large", "--training-sheet", "Large")
    async with book.chapter("import") as other:
        importer = await process.start(book.server.data_dir, "server", "import", str(file), *names, stderr=log)
        with other.at_work("importer", importer.pid):
            output, _ = await importer.communicate()
    assert importer.returncode == 0, log.read_text()
    said = output.decode().strip()
    listed = (await book.client.ask(questions.TRAINING_SHEETS))["trainingSheets"]["nodes"]
    (sheet_id,) = (node["id"] for node in listed if node["name"] == "Large")
    assert other.watched is not None
    peak = other.watched.peak
    return sheet_id, [
        Promise(
            f"The importer takes less than {account.megabytes(MOST_OF_IMPORTER)}",
            peak < MOST_OF_IMPORTER,
            account.megabytes(peak),
        ),
        Promise(f"{sheet.LINES:,} pairs are imported", f"{sheet.LINES} pairs imported" in said, said),
    ]


async def _judge(book: Book, sheet_id: str) -> list[Promise]:
    async with book.chapter("eligibility"):
        for _ in range(JUDGED):
            found = (await book.client.ask(questions.ELIGIBILITY, id=sheet_id))["trainingSheet"]["eligibility"]
    idle, busy = (chapter.usual for chapter in book.chapters if chapter.name in {"nothing", "eligibility"})
    counted = (found["eligiblePairs"], found["totalPairs"], found["trainPairs"] + found["valPairs"])
    return [
        Promise("Eligibility counts each pair", counted == (PAIRS, sheet.LINES, PAIRS), f"{found}"),
        Promise(
            "Other queries stay quick meanwhile",
            busy < QUICK,
            f"p95 {busy * 1000:.1f} ms, {busy / idle:.1f} times that of an idle server",
        ),
    ]


async def _create(book: Book, sheet_id: str) -> tuple[str, list[Promise]]:
    asked = jobs.job_input(sheet_id, epochs=1, trainingConfig={"epochs": 1})
    async with book.chapter("create"):
        creating = asyncio.create_task(jobs.changed(book.client, jobs.CREATE_JOB, input=asked))
        seen = await _first_seen(book.client, sheet_id)
    async with book.chapter("export, submit"):
        created = await creating
        await jobs.until(book.client, created["id"], lambda state: state["status"] != "PENDING", within=TIMEOUT)
    whole = {"totalPairs": PAIRS, "lineage": {"pairs": {"totalCount": PAIRS}}}
    return created["id"], [
        Promise("The job appears whole, in one transaction", seen | whole == seen, f"{seen}"),
    ]


async def _first_seen(client: Client, sheet_id: str) -> Data:
    """The job as it was when it could be seen at all."""
    async with asyncio.timeout(TIMEOUT):
        while True:
            found: list[Data] = (await client.ask(questions.SEEN_OF_JOBS, sheet=sheet_id))["trainingJobs"]["nodes"]
            if found:
                return found[0]
            await asyncio.sleep(BETWEEN_LOOKS)


async def _train(book: Book, job_id: str) -> list[Promise]:
    async with book.chapter("train") as other:
        child = await _child(book.server, job_id)
        with other.at_work("trainer", child.pid):
            await jobs.until(book.client, job_id, _ended, within=TRAINING)
    job = (await book.client.ask(questions.JOB, id=job_id))["trainingJob"]
    return [Promise("It is trained to the end", job["status"] == "SUCCEEDED", f"{job['status']} {job['metrics']}")]


async def _child(server: Server, job_id: str) -> trainings.Training:
    async with asyncio.timeout(TIMEOUT):
        while (found := trainings.of_job(server.data_dir, job_id)) is None:  # noqa: ASYNC110  (another process)
            await asyncio.sleep(BETWEEN_LOOKS)
    return found


async def _exported(book: Book, job_id: str) -> list[Promise]:
    job = (await book.client.ask(questions.JOB, id=job_id))["trainingJob"]
    contents = await asyncio.to_thread(_contents, book.server, job_id)
    digest = hashlib.sha256(b"".join(contents)).hexdigest()
    counts = [content.count(b"\n") for content in contents]
    return [
        Promise("The digest is that of the files", job["datasetDigest"] == digest, digest),
        Promise("Each pair has its line", counts == [job["trainPairs"], job["valPairs"]], f"{counts}"),
    ]


def _contents(server: Server, job_id: str) -> list[bytes]:
    """Those of the exported files."""
    folder = server.data_dir / "exports" / job_id
    return [(folder / name).read_bytes() for name in ("train.jsonl", "validation.jsonl")]


async def _read(book: Book, sheet_id: str, job_id: str) -> list[Promise]:
    lineage = Listed(book.client, questions.LINEAGE, job_id, ("trainingJob", "lineage", "pairs"))
    pairs = Listed(book.client, questions.PAIRS, sheet_id, ("trainingSheet", "qaPairs"))
    async with book.chapter("page lineage"):
        rows = [row async for row in lineage.rows()]
        quick = [await lineage.as_quick("lineage")]
    async with book.chapter("page pairs"):
        listed = [row async for row in pairs.rows()]
        quick += [await pairs.as_quick("the pairs")]
    async with book.chapter("qaPairIds"):
        answer = await book.client.ask(questions.PAIR_IDS, id=job_id)
    ids = answer["trainingJob"]["lineage"]["qaPairIds"]
    lines = b"".join(await asyncio.to_thread(_contents, book.server, job_id)).splitlines()
    digests = [hashlib.sha256(line).hexdigest() for line in lines]
    there = {row["id"] for row in listed}
    return [
        *quick,
        Promise("Pages leave no pair out", len(listed) == len(there) == sheet.LINES, f"{len(there):,}"),
        Promise("Positions run without a gap", [row["position"] for row in rows] == [*range(PAIRS)], f"{len(rows):,}"),
        Promise("All ids are read at once, in file order", ids == [row["qaPairId"] for row in rows], f"{len(ids):,}"),
        Promise("Each digest is that of its line", digests == [row["digest"] for row in rows], f"{len(lines):,}"),
    ]


async def _measure(book: Book, job_id: str) -> list[Promise]:
    await _add_points(book.server.data_dir, job_id)
    async with book.chapter("metric history"):
        (found,) = (await book.client.ask(questions.HISTORY, id=job_id))["trainingJob"]["metricHistory"]
    steps, values = found["steps"], found["values"]
    kept = {step: value for step, value in zip(steps, values, strict=True) if step in SPIKES}
    held = len(steps) <= 500 and steps == sorted(steps) and kept == SPIKES and (steps[0], steps[-1]) == (1, POINTS)
    return [Promise(f"{POINTS:,} points come as 500, ends and extremes among them", held, f"{len(steps)}, {kept}")]


async def _add_points(data_dir: Path, job_id: str) -> None:
    """A series longer than a training of minutes can make."""
    async with database(data_dir) as url:
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(
                "INSERT INTO training_job_metric_points SELECT $1, 'long', n, sin(n / 1000.0), now()"
                " FROM generate_series(1, $2::bigint) AS n",
                job_id,
                POINTS,
            )
            await connection.executemany(
                "UPDATE training_job_metric_points SET value = $3 WHERE job_id = $1 AND key = 'long' AND step = $2",
                [(job_id, step, value) for step, value in SPIKES.items()],
            )
            await connection.execute("ANALYZE training_job_metric_points")
        finally:
            await connection.close()
