"""What is asked of each server: the same questions, in the words of each."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.load import Request

FOLDER: Final = Path(__file__).parent / "operations"
PAGE = 20


@dataclass(frozen=True, slots=True)
class Question:
    """A question: `of_a_job` says whether it is asked about one job after another."""

    name: str
    title: str
    of_a_job: bool = False

    def graphql(self, jobs: Sequence[str]) -> list[Request]:
        """As Tunegraph and the oracle are asked."""
        return self._asked("/graphql", self.text("graphql"), jobs, "id")

    def postgraphile(self, jobs: Sequence[str]) -> list[Request]:
        """As PostGraphile is asked, in the names that it makes of the tables."""
        return self._asked("/graphql", self.text("postgraphile"), jobs, "id")

    def strawchemy(self, jobs: Sequence[str]) -> list[Request]:
        """As strawchemy is asked, in the names that it makes of the models."""
        return self._asked("/graphql", self.text("strawchemy"), jobs, "id")

    def handwritten(self, jobs: Sequence[str]) -> list[Request]:
        """As the hand-written endpoint is asked."""
        bodies = [{"id": job} for job in jobs] if self.of_a_job else [{}]
        return [Request(f"/read/{self.name}", json.dumps(body).encode()) for body in bodies]

    def text(self, dialect: str) -> str:
        """The question in the words of `graphql`, `postgraphile` or `strawchemy`."""
        return (FOLDER / f"{self.name}.{dialect}").read_text(encoding="utf-8")

    def _asked(self, path: str, text: str, jobs: Sequence[str], variable: str) -> list[Request]:
        variables: list[dict[str, str]] = [{variable: job} for job in jobs] if self.of_a_job else [{}]
        return [Request(path, json.dumps({"query": text, "variables": values}).encode()) for values in variables]


LIST: Final = Question("list", "list of 20 jobs")
NOTHING: Final = Question("typename", "{ __typename }")
QUESTIONS: Final = (
    LIST,
    Question("job", "one job, all nested", of_a_job=True),
    Question("status", "status of one job", of_a_job=True),
    NOTHING,
)
