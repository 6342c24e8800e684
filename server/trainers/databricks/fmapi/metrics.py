"""What the metrics that FMAPI's training (Composer) logs to MLflow are called here. Their step is the batch."""

import re
from typing import Final

TOKENS: Final = "time/token"
NAMES: Final = (
    (re.compile(r"loss/train/total"), "train_loss"),
    (re.compile(r"metrics/eval/(?:.+/)?LanguageCrossEntropy"), "val_loss"),
    (re.compile(r"metrics/train/(?:.+/)?TokenAccuracy"), "train_accuracy"),
    (re.compile(r"metrics/eval/(?:.+/)?TokenAccuracy"), "val_accuracy"),
    (re.compile(r"lr-\w+/group0"), "learning_rate"),
)


def named(key: str) -> str:
    """Our name of a metric that every trainer has; all others keep theirs."""
    return next((name for pattern, name in NAMES if pattern.fullmatch(key)), key)
