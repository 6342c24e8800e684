"""The demo's job: created by mutation and followed over two subscriptions until it ends."""

import asyncio
from contextlib import aclosing
from uuid import uuid4

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from server.commands.demo.client import Client, Data, RequestFailed
from server.commands.demo.scenario import Scenario

TRAINING_SHEETS = """
query TrainingSheets($after: String) {
  trainingSheets(first: 100, after: $after) {
    nodes {
      id name
      sheet { name } template { name version }
      eligibility { totalPairs eligiblePairs trainPairs valPairs excluded { verdict count } }
    }
    pageInfo { hasNextPage endCursor }
  }
}
"""
CREATE = """
mutation Create($input: CreateTrainingJobInput!) {
  createTrainingJob(input: $input) {
    __typename
    ... on TrainingJob { id status trainerJobId }
    ... on Problem { code message path }
  }
}
"""
UPDATES = """
subscription Updates($id: ID!) {
  trainingJobUpdated(id: $id) {
    status progressPercent currentEpoch totalEpochs
    metrics { epochsCompleted trainLoss valLoss trainAccuracy valAccuracy }
  }
}
"""
EVENTS = """
subscription Events($id: ID!) {
  trainingJobEvents(jobId: $id) { sequence eventType oldStatus newStatus message }
}
"""
ABSENT = "-"
MEASURING = frozenset({"PROGRESS_UPDATE", "METRIC_UPDATE"})  # the bar and the epochs' lines show them


async def find_training_sheet(client: Client, name: str) -> Data:
    """The training sheet called `name`, with its eligibility. Raises `RequestFailed`."""
    after = None
    while True:
        page = (await client.ask(TRAINING_SHEETS, after=after))["trainingSheets"]
        for sheet in page["nodes"]:
            if sheet["name"] == name:
                matching: Data = sheet
                return matching
        if not page["pageInfo"]["hasNextPage"]:
            raise RequestFailed(f"The server knows no Training Sheet {name!r}")
        after = page["pageInfo"]["endCursor"]


async def create(client: Client, training_sheet_id: str, scenario: Scenario) -> str:
    """Create a job and return its id. Raises `RequestFailed`."""
    result = (
        await client.ask(
            CREATE,
            input={
                "trainingSheetId": training_sheet_id,
                "modelName": scenario.model_name,
                "baseModel": scenario.base_model,
                "trainer": scenario.trainer,
                "registerToUc": True,
                "ucCatalog": scenario.catalog,
                "ucSchema": scenario.schema,
                "clientMutationId": f"demo-{uuid4()}",
            },
        )
    )["createTrainingJob"]
    if result["__typename"] != "TrainingJob":
        raise RequestFailed(f"The job was refused: {result['message']}")
    return str(result["id"])


async def follow(client: Client, job_id: str, console: Console) -> None:
    """Show a job until it has ended: its events, a line for each epoch, and a bar. Raises `RequestFailed`."""
    bar = Progress(
        TextColumn("{task.fields[status]}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[epochs]}"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bar:
        try:
            async with asyncio.TaskGroup() as streams:
                streams.create_task(_show_events(client, job_id, console))
                streams.create_task(_show_progress(client, job_id, console, bar))
        except* RequestFailed as failures:
            raise failures.exceptions[0] from None


async def _show_events(client: Client, job_id: str, console: Console) -> None:
    async with aclosing(client.follow(EVENTS, id=job_id)) as stream:
        async for data in stream:
            event = data["trainingJobEvents"]
            if event["eventType"] in MEASURING:
                continue
            move = (
                f"{event['oldStatus'] or ABSENT} → {event['newStatus']}" if event["newStatus"] else event["eventType"]
            )
            console.print(
                f"  {event['sequence']:>4}  {move:<20}  {event['message']}",
                markup=False,
                soft_wrap=True,
                style="red" if event["eventType"] == "ERROR" else None,
            )


async def _show_progress(client: Client, job_id: str, console: Console, bar: Progress) -> None:
    task = bar.add_task("", total=100, status="", epochs="")
    last_epoch = 0
    async with aclosing(client.follow(UPDATES, id=job_id)) as stream:
        async for data in stream:
            job = data["trainingJobUpdated"]
            epochs = f"epoch {job['currentEpoch']}/{job['totalEpochs']}" if job["currentEpoch"] else ""
            bar.update(task, completed=job["progressPercent"], status=job["status"], epochs=epochs)
            metrics = job["metrics"]
            if metrics and (metrics["epochsCompleted"] or 0) > last_epoch:
                last_epoch = metrics["epochsCompleted"]
                console.print(
                    _epoch(last_epoch, job["totalEpochs"], metrics), markup=False, soft_wrap=True, style="dim"
                )


def _epoch(number: int, total: int | None, metrics: Data) -> str:
    return (
        f"        epoch {number:>3}/{total or '?'}   "
        f"loss {figure(metrics['trainLoss'])} (validation {figure(metrics['valLoss'])})   "
        f"accuracy {percent(metrics['trainAccuracy'])} (validation {percent(metrics['valAccuracy'])})"
    )


def figure(value: float | None) -> str:
    """A loss with four digits."""
    return ABSENT if value is None else f"{value:.4f}"


def percent(value: float | None) -> str:
    """A share from 0 to 1 in percent."""
    return ABSENT if value is None else f"{value * 100:.1f} %"
