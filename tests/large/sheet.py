"""A file of 100,000 pairs that a job may train on, with some that no gate lets pass."""

import json
import random
from pathlib import Path

ELIGIBLE = 100_000
REFUSED = 2_000
SEED = 20_240_229
WORDINGS = (
    "How do I {}?",
    "What is the way to {}?",
    "Somebody asked me to {}, what now?",
    "I need to {} before noon.",
    "Can you tell me how to {} please?",
)
SYLLABLES = (
    "ba",
    "cor",
    "del",
    "fin",
    "gra",
    "hol",
    "jun",
    "kel",
    "lam",
    "mor",
    "nat",
    "pos",
    "rin",
    "sul",
    "tav",
    "ven",
)
LABEL_EVERY = 10  # items
LINES = ELIGIBLE + REFUSED


def write(path: Path) -> None:
    """Write it; the same bytes each time. Five wordings of each of 20,000 questions have one answer."""
    draw = random.Random(SEED)  # noqa: S311  (no secret)
    words = sorted({"".join(draw.choices(SYLLABLES, k=draw.randint(2, 4))) for _ in range(6_000)})
    with path.open("w", encoding="utf-8") as file:
        for item in range((ELIGIBLE + REFUSED) // len(WORDINGS)):
            topic = draw.choices(words, k=draw.randint(3, 8))
            what = " ".join(topic)
            answer = " ".join([*draw.choices(words, k=draw.randint(5, 30)), *topic])
            for wording in WORDINGS:
                line = {
                    "prompt": wording.format(f"{what} {item}"),
                    "response": f"{answer}.",
                    "item_ref": f"item {item}",
                }
                file.write(json.dumps(line | _standing(item)) + "\n")


def _standing(item: int) -> dict[str, object]:
    if item >= ELIGIBLE // len(WORDINGS):
        return {"status": "rejected"} if item % 2 else {"status": "labeled", "prohibited_uses": ["training"]}
    if item % LABEL_EVERY:
        return {"status": "labeled"}
    label = {"label_type": "answer", "label_data": {"desk": item % 97}}
    return {"status": "labeled", "canonical_label": label}
