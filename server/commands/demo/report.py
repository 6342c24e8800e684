"""The report of a demo: what the gates let through, how the model learned, and where it came from."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from server.commands.demo.answers import Answer
from server.commands.demo.checks import Check
from server.commands.demo.client import Data
from server.commands.demo.facts import UNTRAINED_STEP, Facts
from server.commands.demo.job import ABSENT, figure, percent

SHOWN_EPOCHS = 20


def gates(console: Console, eligibility: Data) -> None:
    """What the gates say before anything is created."""
    table = _table("The gates", "verdict", pairs="right")
    table.add_row("ELIGIBLE", str(eligibility["eligiblePairs"]), style="green")
    for refused in eligibility["excluded"]:
        table.add_row(refused["verdict"], str(refused["count"]))
    table.add_section()
    table.add_row("all pairs", str(eligibility["totalPairs"]))
    console.print(table)
    console.print(f"The split: {eligibility['trainPairs']} to train on, {eligibility['valPairs']} to validate with\n")


def learning(console: Console, facts: Facts) -> None:
    """Loss and accuracy by epoch, between what guessing reaches and the trained model."""
    right = {
        "train loss": "right",
        "validation loss": "right",
        "train accuracy": "right",
        "validation accuracy": "right",
    }
    table = _table("The training", "epoch" if facts.chance is not None else "step", **right)
    if facts.chance is not None:
        table.add_row("chance", "", "", percent(facts.chance), percent(facts.chance), style="dim")
    shown = _thinned([step for step in facts.steps if step != UNTRAINED_STEP])
    untrained = [UNTRAINED_STEP] if UNTRAINED_STEP in facts.steps else []
    for step in untrained + shown:
        values = facts.at_step(step)
        table.add_row(
            "untrained" if step == UNTRAINED_STEP else str(step),
            figure(values.get("train_loss")),
            figure(values.get("val_loss")),
            percent(values.get("train_accuracy")),
            percent(values.get("val_accuracy")),
            style="dim" if step == UNTRAINED_STEP else "bold" if step == shown[-1] else None,
        )
    console.print(table)


def origin(console: Console, facts: Facts) -> None:
    """The model, and everything that made it."""
    job, lineage = facts.job, facts.job["lineage"]
    table = Table(title="The model and its lineage", show_header=False, box=box.SIMPLE, title_justify="left")
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    duration = job["durationSeconds"]
    table.add_row("job", f"{job['id']} ({job['status']}{f', {duration:.1f} s' if duration is not None else ''})")
    if job["errorMessage"]:
        table.add_row("error", f"{job['errorCode'] or ''} {job['errorMessage']}".strip(), style="red")
    table.add_row("model", f"{job['ucModelName']}, version {job['ucModelVersion'] or ABSENT}, from {job['baseModel']}")
    table.add_row("MLflow run", job["mlflowRunId"] or ABSENT)
    if lineage:
        table.add_row("sheet", lineage["sheetName"])
        table.add_row("template", f"{lineage['templateName']}, version {lineage['templateVersion']}")
        table.add_row("training sheet", lineage["trainingSheetName"])
        pairs = f"{len(facts.pairs)} ({job['trainPairs']} train, {job['valPairs']} validation), each with its digest"
        table.add_row("pairs", pairs)
        table.add_row("canonical labels", str(len(lineage["canonicalLabelIds"])))
    table.add_row("data", f"sha256 {job['datasetDigest'] or ABSENT}")
    console.print(table)


def answers(console: Console, given: Sequence[Answer]) -> None:
    """What the trained model says to questions that it was not trained on."""
    table = Table(title="The trained model answers", box=box.SIMPLE, show_lines=True, title_justify="left")
    table.add_column("question", ratio=2, overflow="fold")
    table.add_column("answer", ratio=3, overflow="fold")
    table.add_column("the expert's?", justify="center")
    for answer in given:
        table.add_row(answer.question.text, answer.given, "yes" if answer.right else "no")
    console.print(table)


def outcome(console: Console, checks: Sequence[Check]) -> None:
    """Which claims of the demo held."""
    for check in checks:
        mark, style = ("✓", "green") if check.held else ("✗", "bold red")
        console.print(f"  {mark} {check.claim}", style=style, markup=False)


def addresses(console: Console, authority: str) -> None:
    """Where to go from here."""
    console.print(f"\n  GraphiQL  http://{authority}/graphql")
    console.print(f"  API       http://{authority}/graphql  ws://{authority}/graphql\n")


def _table(title: str, first: str, **others: str) -> Table:
    table = Table(title=title, box=box.SIMPLE, title_justify="left")
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right")
    return table


def _thinned(steps: list[int]) -> list[int]:
    """At most about `SHOWN_EPOCHS` of them, the first and the last among them."""
    every = -(-len(steps) // SHOWN_EPOCHS) or 1
    return [step for place, step in enumerate(steps) if place % every == 0 or place == len(steps) - 1]
