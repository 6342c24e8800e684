"""Real questions, and local trainers to train on them."""

import asyncio
import json
import random
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from server.domain.status import RunState
from server.trainers.local.run import Run
from server.trainers.local.trainer import LocalTrainer
from server.trainers.trainer import Observation, RunHandle, TrainerJobId, TrainingRequest
from tests.waiting import until

INVOICE_DESK = Path(__file__).parents[3] / "examples" / "invoice_desk.jsonl"
SMALL, BASE = "local/retriever-small", "local/retriever-base"
LONG = {"epochs": 1000}
BRIEF = {"epochs": 3}
SYSTEM = {"role": "system", "content": "You are the invoice desk."}
ENDED = {RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED}

Pairs = list[tuple[str, str]]


def paraphrases() -> Pairs:
    """The answers of the sample that have five labelled questions, with each of these."""
    lines = [json.loads(line) for line in INVOICE_DESK.read_text(encoding="utf-8").splitlines()]
    usable = [line for line in lines if line["status"] == "labeled" and "prompt" in line]
    found: dict[str, list[str]] = {}
    for line in usable:
        found.setdefault(line["response"], []).append(line["prompt"])
    return [(question, answer) for answer, questions in found.items() if len(questions) == 5 for question in questions]


def split(pairs: Pairs, seed: int) -> tuple[Pairs, Pairs]:
    """Four fifths to train on, the rest held out."""
    shuffled = random.Random(seed).sample(pairs, len(pairs))  # noqa: S311  (no secret)
    cut = len(pairs) * 4 // 5
    return shuffled[:cut], shuffled[cut:]


def export(path: Path, pairs: Sequence[tuple[str, str]]) -> Path:
    """A file as the server exports it."""
    with path.open("w", encoding="utf-8") as file:
        for question, answer in pairs:
            turns = [SYSTEM, {"role": "user", "content": question}, {"role": "assistant", "content": answer}]
            file.write(json.dumps({"messages": turns}) + "\n")
    return path


@dataclass
class Bench:
    """A data folder; the trainers over it are like servers that follow one another, or run beside each other."""

    data_dir: Path
    trainers: list[LocalTrainer] = field(default_factory=list)

    def trainer(self, slots: int = 1) -> LocalTrainer:
        self.trainers.append(LocalTrainer(self.data_dir, slots))
        return self.trainers[-1]

    def request(
        self, job_id: str, config: dict[str, Any] | None = None, base_model: str = SMALL, seed: int = 7
    ) -> TrainingRequest:
        files = self.data_dir / "train.jsonl", self.data_dir / "validation.jsonl"
        for path, pairs in zip(files, split(paraphrases(), 0), strict=True):
            export(path, pairs)
        return TrainingRequest(
            job_id=job_id,
            model_name="invoice-desk",
            base_model=base_model,
            config=BRIEF if config is None else config,
            seed=seed,
            train_file=files[0],
            validation_file=files[1],
            dataset_digest=sha256(b"".join(path.read_bytes() for path in files)).hexdigest(),
        )

    def run(self, job_id: str) -> Run:
        return Run(self.data_dir / "runs" / job_id)

    async def close(self) -> None:
        """End every child, and let those who started them know."""
        handles = []
        for request in self.data_dir.glob("runs/*/request.json"):
            job_id = request.parent.name
            name = await self.trainers[0].find(job_id)
            assert name is not None
            await self.trainers[0].cancel(name)
            self.trainers[0]._children.signal(self.run(job_id), signal.SIGKILL)
            handles.append(RunHandle(job_id, name))
        for trainer in self.trainers:
            await until(lambda trainer=trainer: _all_ended(trainer, handles))  # type: ignore[misc]  # the default is its type
            await until(lambda trainer=trainer: _childless(trainer))  # type: ignore[misc]  # the default is its type


async def look(trainer: LocalTrainer, job_id: str, name: TrainerJobId, after: int | None = None) -> Observation:
    return (await trainer.observe([RunHandle(job_id, name, after)]))[job_id]


async def until_state(trainer: LocalTrainer, job_id: str, name: TrainerJobId, *states: RunState) -> Observation:
    """Look until the run is in one of the states, and say what was seen then."""
    seen: list[Observation] = []

    async def reached() -> bool:
        seen.append(await look(trainer, job_id, name))
        assert seen[-1].state in states or seen[-1].state not in ENDED, seen[-1]
        return seen[-1].state in states

    await until(reached)
    return seen[-1]


@dataclass(frozen=True)
class Finished:
    """A run that has succeeded, as another server than the one that took it saw it from then on."""

    data_dir: Path
    job_id: str
    name: TrainerJobId
    seen: Sequence[Observation]

    @property
    def artifact(self) -> Path:
        artifact = self.seen[-1].artifact
        assert artifact is not None
        return artifact


def run_to_the_end(data_dir: Path) -> Finished:
    async def train() -> Finished:
        bench = Bench(data_dir)
        earlier, later = bench.trainer(), bench.trainer()
        name = await earlier.submit(bench.request("job_done", {"epochs": 20}))
        seen = [await look(later, "job_done", name)]

        async def ended() -> bool:
            seen.append(await look(later, "job_done", name))
            return seen[-1].state in ENDED

        await until(ended)
        await bench.close()
        assert seen[-1].state is RunState.SUCCEEDED, seen[-1]
        return Finished(data_dir, "job_done", name, seen)

    return asyncio.run(train())


async def _all_ended(trainer: LocalTrainer, handles: Sequence[RunHandle]) -> bool:
    return all(seen.state in ENDED for seen in (await trainer.observe(handles)).values())


async def _childless(trainer: LocalTrainer) -> bool:
    await trainer.observe([])
    return not trainer._children._started
