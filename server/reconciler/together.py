"""Writing what was observed of many jobs at once, where it is nothing that ends them."""

from collections.abc import Sequence

from server.domain.status import JobStatus
from server.reconciler.findings import Findings
from server.reconciler.outcomes import Outcome
from server.reconciler.runtime import Runtime
from server.storage import together
from server.storage.claims import Claim
from server.storage.lanes import LaneLease
from server.storage.together import NAMES, Observed


def fits(findings: Findings) -> bool:
    """Whether findings can be written with those of others: not what ends a job, nor what is said only once."""
    return findings.ends is None and not findings.errors


async def write(runtime: Runtime, lease: LaneLease, outcomes: Sequence[tuple[Claim, Outcome]]) -> frozenset[str]:
    """Write outcomes that fit in one transaction; the ids of the jobs of which they were written.

    The others are held by somebody else just now, or their claims are lost.
    """
    async with runtime.engine.begin() as connection:
        held = await together.hold(connection, [claim for claim, _ in outcomes], lease)
        observed = [_observed(claim, outcome) for claim, outcome in outcomes if claim.job_id in held]
        if observed:
            await together.write(connection, observed)
    for claim, outcome in outcomes:
        if outcome.wakes and claim.job_id in held:
            runtime.wake(claim)
    return held


def _observed(claim: Claim, outcome: Outcome) -> Observed:
    columns = {name: value for change in outcome.changes for name, value in change.columns.items()}
    return Observed(
        claim,
        [change.entry for change in outcome.changes if change.entry is not None],
        {name: value for name, value in columns.items() if name in NAMES},
        outcome.points,
        outcome.latest,
        begins=any(change.to is JobStatus.RUNNING for change in outcome.changes),
        trained="trained_at" in columns,
    )
