"""The words of the two gates that a pair passes before it is trained on: experts approved it, governance allows it.

The rules themselves are SQL, in `server.storage.gates`: they decide about whole training sheets where the pairs are.
"""

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
