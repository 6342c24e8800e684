"""Jobs that a person wants cancelled while they are with their trainer. What the trainer says is what stands."""

from server.domain.errors import Refused, Unavailable
from server.reconciler.calls import answer
from server.reconciler.findings import find
from server.reconciler.observation import look, write
from server.reconciler.outcomes import Runtime, cancel_unconfirmed, name, overlook, postpone
from server.storage import leases
from server.storage.claims import Claim
from server.trainers.trainer import Trainer, TrainerJobId

FIRST_LOOK = 0.2


async def cancel(runtime: Runtime, claim: Claim) -> None:
    """Ask the trainer to stop the run, and write what it says of it then.

    Asked again at each look until the trainer confirms; when it has not in its time, the job ends without it.
    """
    limits = runtime.limits
    trainer = runtime.trainer(claim)
    refused = await _ask(runtime, trainer, claim)
    try:
        seen = (await look(runtime, trainer, [claim])).get(claim.job_id)
    except Unavailable as error:
        await postpone(runtime, claim, refused or error)
        return
    if seen is None:
        await overlook(runtime, claim)
        return
    found = await runtime.threads.call(find, claim, seen)
    await write(runtime, claim, seen, found, 0.0 if found.trained else None)
    if found.ends is not None or found.trained:
        return
    age = claim.cancel_age or 0.0
    if refused is not None:
        await postpone(runtime, claim, refused)
    elif age >= limits.cancelling:
        await cancel_unconfirmed(runtime, claim, f"it still says {seen.word!r}")
    else:
        after = min(trainer.capabilities.observe_interval, max(FIRST_LOOK, age / 2))
        async with runtime.engine.begin() as connection:
            await leases.release(connection, [claim], min(after, limits.cancelling - age))


async def _ask(runtime: Runtime, trainer: Trainer, claim: Claim) -> Unavailable | None:
    try:
        call = trainer.cancel(TrainerJobId(claim.trainer_job_id or ""))
        await answer(call, of=name(trainer.kind), within=runtime.limits.trainer)
    except Unavailable as error:
        return error
    except Refused as error:
        return Unavailable(f"{name(trainer.kind)} refused to cancel the run: {error.message}")
    return None
