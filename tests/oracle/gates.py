"""The gates and what may be done with a job, as plain rules: what the SQL that decides is compared with."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from server.domain.gates import DataUse, PairStatus, Verdict
from server.domain.status import JobAction


@dataclass(frozen=True, slots=True)
class Uses:
    """What governance says of a pair or of its canonical label."""

    allowed: AbstractSet[DataUse]
    prohibited: AbstractSet[DataUse]

    def narrowed_by(self, other: "Uses | None") -> "Uses":
        """Prohibited in either is prohibited; allowed must be in both."""
        if other is None:
            return self
        return Uses(self.allowed & other.allowed, self.prohibited | other.prohibited)

    def permit(self, use: DataUse) -> bool:
        """Prohibited wins over allowed."""
        return use in self.allowed and use not in self.prohibited


def verdict(status: PairStatus, uses: Uses, label: Uses | None, *, malformed: bool) -> Verdict:
    """What the gates say of a pair; `malformed`: its messages have a defect."""
    effective = uses.narrowed_by(label)
    if status is not PairStatus.LABELED:
        return Verdict.NOT_LABELED
    if DataUse.TRAINING in effective.prohibited:
        return Verdict.USE_PROHIBITED
    if DataUse.TRAINING not in effective.allowed:
        return Verdict.USE_NOT_ALLOWED
    if malformed:
        return Verdict.MALFORMED
    return Verdict.ELIGIBLE


def may_validate(uses: Uses, label: Uses | None) -> bool:
    """Whether an eligible pair may stand on the validation side."""
    return uses.narrowed_by(label).permit(DataUse.VALIDATION)


def available_actions(status: str, *, cancel_requested: bool) -> tuple[JobAction, ...]:
    """What a person may do now: a job that is being cancelled can't be cancelled again."""
    return (JobAction.CANCEL,) if status in ("PENDING", "QUEUED", "RUNNING") and not cancel_requested else ()
