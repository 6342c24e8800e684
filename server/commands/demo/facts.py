"""What the API says of a finished job, down to each pair it was trained on."""

from collections.abc import Sequence
from dataclasses import dataclass

from server.commands.demo.client import Client, Data, RequestFailed

# The keys under which the local trainer reports what guessing would reach, and its untrained model at step 0.
CHANCE = "chance"
UNTRAINED_STEP = 0
SERIES = ("train_loss", "val_loss", "train_accuracy", "val_accuracy")

JOB = """
query Job($id: ID!, $keys: [String!]) {
  trainingJob(id: $id) {
    id status modelName baseModel errorCode errorMessage durationSeconds
    totalPairs trainPairs valPairs excluded { verdict count }
    datasetDigest mlflowRunId ucModelName ucModelVersion
    metrics { epochsCompleted trainLoss valLoss trainAccuracy valAccuracy customMetrics }
    metricHistory(keys: $keys) { key steps values }
    lineage {
      trainingSheetName sheetName templateName templateVersion modelName modelVersion qaPairIds canonicalLabelIds
    }
  }
}
"""
PAIRS = """
query Pairs($id: ID!, $after: String) {
  trainingJob(id: $id) {
    lineage {
      pairs(first: 100, after: $after) {
        totalCount
        nodes { qaPairId split position digest qaPair { messages { role content } } }
        pageInfo { hasNextPage endCursor }
      }
    }
  }
}
"""


@dataclass(frozen=True, slots=True)
class Question:
    """Something the model was not trained on, and what an expert answered."""

    text: str
    expected: str


@dataclass(frozen=True, slots=True)
class Facts:
    """A job with the pairs of its lineage, in file order."""

    job: Data
    pairs: Sequence[Data]

    def at_step(self, step: int) -> dict[str, float | None]:
        """The metrics of one step, by key."""
        return {
            series["key"]: series["values"][series["steps"].index(step)]
            for series in self.job["metricHistory"]
            if step in series["steps"]
        }

    @property
    def steps(self) -> list[int]:
        """Every step that has a metric, in order."""
        return sorted({step for series in self.job["metricHistory"] for step in series["steps"]})

    @property
    def chance(self) -> float | None:
        """The accuracy that guessing would reach."""
        metrics = self.job["metrics"]
        value = (metrics["customMetrics"] or {}).get(CHANCE) if metrics else None
        return None if value is None else float(value)

    @property
    def untrained(self) -> float | None:
        """The validation accuracy of the model before its first epoch."""
        return self.at_step(UNTRAINED_STEP).get("val_accuracy")

    @property
    def accuracy(self) -> float | None:
        """The validation accuracy at the end."""
        value: float | None = self.job["metrics"]["valAccuracy"] if self.job["metrics"] else None
        return value

    def questions(self, count: int) -> list[Question]:
        """Questions of the validation side with different answers; first those whose answer others were trained on."""
        trained = {question.expected for question in self._last_questions("TRAIN")}
        by_answer: dict[str, Question] = {}
        for question in self._last_questions("VALIDATION"):
            by_answer.setdefault(question.expected, question)
        return sorted(by_answer.values(), key=lambda question: question.expected not in trained)[:count]

    def _last_questions(self, split: str) -> list[Question]:
        """The last question of each pair of a side, with its answer; pairs that were deleted since are left out."""
        messages = [pair["qaPair"]["messages"] for pair in self.pairs if pair["split"] == split and pair["qaPair"]]
        return [Question(turns[-2]["content"], turns[-1]["content"]) for turns in messages]


async def gather(client: Client, job_id: str) -> Facts:
    """Read the job and all pairs of its lineage. Raises `RequestFailed`."""
    job = (await client.ask(JOB, id=job_id, keys=list(SERIES)))["trainingJob"]
    if job is None:
        raise RequestFailed(f"The server knows no job {job_id}")
    pairs: list[Data] = []
    after = None
    while True:
        lineage = (await client.ask(PAIRS, id=job_id, after=after))["trainingJob"]["lineage"]
        if lineage is None:
            return Facts(job, pairs)
        page = lineage["pairs"]
        pairs += page["nodes"]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            return Facts(job, pairs)
