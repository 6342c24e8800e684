"""The two gates that a pair passes before it is trained on: experts approved it, and governance allows it."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum


class DataUse(StrEnum):
    """What governance may allow or prohibit."""

    TRAINING = "TRAINING"
    VALIDATION = "VALIDATION"
    EVALUATION = "EVALUATION"
    FEW_SHOT = "FEW_SHOT"
    TESTING = "TESTING"


class PairStatus(StrEnum):
    """What experts said of a pair."""

    UNLABELED = "UNLABELED"
    LABELED = "LABELED"
    REJECTED = "REJECTED"
    FLAGGED = "FLAGGED"


class Verdict(StrEnum):
    """The first rule that refuses a pair, in this order after ELIGIBLE."""

    ELIGIBLE = "ELIGIBLE"
    NOT_LABELED = "NOT_LABELED"
    USE_PROHIBITED = "USE_PROHIBITED"
    USE_NOT_ALLOWED = "USE_NOT_ALLOWED"
    MALFORMED = "MALFORMED"


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
    """What the gates say of a pair; `malformed` is the verdict of `examples.defect` on its messages."""
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
