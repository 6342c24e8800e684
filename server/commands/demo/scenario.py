"""What a demo trains on, and what it calls it."""

import re
from dataclasses import dataclass
from pathlib import Path

from server.imports.target import Target

SAMPLE = Path(__file__).parents[3] / "examples" / "invoice_desk.jsonl"
NOT_IN_A_NAME = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Scenario:
    """`times_chance` is how far above guessing the trained model must get for the demo to hold."""

    file: Path
    target: Target
    model_name: str
    times_chance: float
    trainer: str = "LOCAL"
    base_model: str = "local/retriever-base"
    catalog: str = "main"
    schema: str = "tunegraph"


def sample() -> Scenario:
    """The invoice desk that comes with the program."""
    target = Target(
        sheet="Supplier invoices",
        template="Invoice desk",
        training_sheet="Invoice desk answers",
        system_prompt="You are the invoice desk. Answer the colleague's question by the rules of accounts payable.",
        user_prompt="{question}",
    )
    return Scenario(SAMPLE, target, "invoice-desk", times_chance=5.0)


def of_file(file: Path, name: str | None) -> Scenario:
    """Somebody's own file; everything is called by `name`, or by the file's own."""
    called = name or file.stem
    target = Target(called, called, called, system_prompt=None, user_prompt=None)
    model = NOT_IN_A_NAME.sub("-", called.lower()).strip("-")
    return Scenario(file, target, model or "model", times_chance=1.0)
