"""Jobs that a person wants cancelled while they are with their trainer; they end as the trainer says."""

from server.domain.errors import Refused, Unavailable
from server.reconciler import observation
from server.reconciler.calls import call_with_timeout
from server.reconciler.findings import find
from server.reconciler.outcomes import Outcome, cancelled_unconfirmed, postponed, unseen
from server.reconciler.runtime import Runtime, trainer_name
from server.storage.claims import Claim
from server.trainers.trainer import Trainer, TrainerJobId

FIRST_AGAIN_SECONDS = 0.2


async def cancel(runtime: Runtime, claim: Claim) -> Outcome:
    """Ask the trainer to stop the run, and see what it says of it then. Raises `Unavailable`.

    Asked again each time until the trainer confirms; when it has not in its time, the job ends without it.
    """
    trainer = runtime.trainer(claim)
    refused = await _ask(runtime, trainer, claim)
    try:
        observed = (await observation.observe(runtime, trainer, [claim])).get(claim.job_id)
    except Unavailable as error:
        return postponed(runtime.limits, claim, refused or error)
    if observed is None:
        return unseen(runtime.limits, claim)
    findings = await runtime.threads.call(find, claim, observed)
    outcome = await observation.outcome(runtime, claim, observed, findings)
    if outcome.ends or findings.trained:
        return outcome
    return outcome.followed_by(_again(runtime, claim, trainer, refused, observed.word))


def _again(runtime: Runtime, claim: Claim, trainer: Trainer, refused: Unavailable | None, word: str) -> Outcome:
    """What follows while the run goes on."""
    if refused is not None:
        return postponed(runtime.limits, claim, refused)
    age, limit = claim.cancel_age or 0.0, runtime.limits.cancelling
    if age >= limit:
        return cancelled_unconfirmed(claim, f"it still says {word!r}")
    after = min(trainer.capabilities.observe_interval, max(FIRST_AGAIN_SECONDS, age / 2))
    return Outcome(due_seconds=min(after, limit - age))


async def _ask(runtime: Runtime, trainer: Trainer, claim: Claim) -> Unavailable | None:
    name = trainer_name(trainer.kind)
    try:
        call = trainer.cancel(TrainerJobId(claim.trainer_job_id or ""))
        await call_with_timeout(call, name=name, timeout_seconds=runtime.limits.trainer)
    except Unavailable as error:
        return error
    except Refused as error:
        return Unavailable(f"{name} refused to cancel the run: {error.message}")
    return None
