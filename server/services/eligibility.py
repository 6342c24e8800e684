"""What a job would train on: the gates' verdicts on a training sheet, and the split of what they let pass."""

import asyncio
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncEngine

from server.domain import examples
from server.domain.defects import Defect
from server.domain.gates import Verdict
from server.domain.split import MAX_RATIO, MIN_RATIO, Candidate, Split, TooFew, split
from server.services import inputs
from server.storage import pairs
from server.storage.pairs import Count
from server.threads import Threads

SPLITS_AT_ONCE = 2
MAX_SEED = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Report:
    """Pairs by what the gates and the split make of them; `excluded` holds only verdicts that occur.

    `defects` divides the MALFORMED ones by what is wrong, and `with_control_token` counts eligible pairs that quote a
    mark of a chat template.
    """

    total: int
    eligible: int
    train: int
    validation: int
    excluded: Mapping[Verdict, int]
    defects: Mapping[Defect, int] = field(default_factory=dict)
    with_control_token: int = 0


@dataclass(frozen=True, slots=True)
class Selection:
    """A report with the sides it counts; without sides, `too_few` says why there are none."""

    report: Report
    sides: Split | None
    too_few: str | None


class Eligibility:
    """Counts and splits without writing anything."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._threads = Threads(SPLITS_AT_ONCE, "split")
        self._slots = asyncio.Semaphore(SPLITS_AT_ONCE)  # a sheet of 100,000 pairs takes some 50 MB while it is split

    async def report(self, training_sheet_id: str, ratio: float, seed: int) -> Report:
        """What a job would get now. A sheet that can't be split has all its eligible pairs on the train side.

        Raises `InvalidInput` for a ratio or a seed that a job can't have.
        """
        check_ratio(ratio, ("trainValSplit",))
        check_seed(seed, ("splitSeed",))
        return (await self.select(training_sheet_id, ratio, seed)).report

    async def select(self, training_sheet_id: str, ratio: float, seed: int) -> Selection:
        """The sides of the split with their report, all of one moment."""
        if examples.unstorable_text(training_sheet_id):
            return Selection(Report(0, 0, 0, 0, {}), None, None)
        async with self._slots:
            counts, candidates = await self._read(training_sheet_id)
            sides, too_few = await self._threads.call(_split, candidates, ratio, seed)
        report = Report(
            total=sum(count.pairs for count in counts),
            eligible=len(candidates),
            train=len(sides.train) if sides else len(candidates),
            validation=len(sides.validation) if sides else 0,
            excluded=_excluded(counts),
            defects={
                count.defect: count.pairs
                for count in counts
                if count.verdict is Verdict.MALFORMED and count.defect is not None
            },
            with_control_token=sum(count.with_control_token for count in counts if count.verdict is Verdict.ELIGIBLE),
        )
        return Selection(report, sides, too_few)

    async def _read(self, training_sheet_id: str) -> tuple[Sequence[Count], Sequence[Candidate]]:
        async with self._engine.connect() as connection:
            await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            async with connection.begin():
                counts = await pairs.counts(connection, training_sheet_id)
                return counts, await pairs.candidates(connection, training_sheet_id)


def _excluded(counts: Sequence[Count]) -> Mapping[Verdict, int]:
    excluded: Counter[Verdict] = Counter()
    for count in counts:
        if count.verdict is not Verdict.ELIGIBLE:
            excluded[count.verdict] += count.pairs
    return dict(excluded)


def _split(candidates: Sequence[Candidate], ratio: float, seed: int) -> tuple[Split | None, str | None]:
    if not candidates:
        return None, None
    try:
        return split(candidates, ratio, seed), None
    except TooFew as error:
        return None, str(error)


def check_ratio(ratio: float, path: inputs.Path) -> None:
    """Raise `InvalidInput` for a share of the train side that no job can have."""
    if math.isnan(ratio) or not MIN_RATIO <= ratio <= MAX_RATIO:
        raise inputs.refused(path, f"must be between {MIN_RATIO} and {MAX_RATIO}")


def check_seed(seed: int, path: inputs.Path) -> None:
    """Raise `InvalidInput` for a seed that is no 32-bit number."""
    if not -MAX_SEED - 1 <= seed <= MAX_SEED:
        raise inputs.refused(path, "must be a whole number of 32 bits")
