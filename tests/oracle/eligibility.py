"""What the gates and the split make of a training sheet, counted over its pairs' rows."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

from graphql import GraphQLError

from server.domain.defects import Defect
from server.domain.gates import DataUse, PairStatus, Verdict
from server.domain.split import MAX_RATIO, MIN_RATIO, Candidate, TooFew, split
from tests.oracle import gates
from tests.oracle.arguments import Info
from tests.oracle.gates import Uses
from tests.oracle.loading import Loader, Row

Label: TypeAlias = Row | Mapping[str, Any]
RATIO = 0.8
PAIRS = """
    SELECT pair.*, label.allowed_uses AS label_allowed, label.prohibited_uses AS label_prohibited
    FROM qa_pairs pair LEFT JOIN canonical_labels label ON label.id = pair.canonical_label_id
    WHERE pair.training_sheet_id = ANY($1::text[]) ORDER BY pair.created_at, pair.id
"""


def eligibility(sheet: Row, info: Info, **arguments: Any) -> Any:  # noqa: ANN401  (a report or its future)
    """The report on a training sheet; an error for a ratio that no job can have."""
    asked, seed = arguments.get("trainValSplit"), arguments.get("splitSeed")
    ratio = RATIO if asked is None else asked
    if not MIN_RATIO <= ratio <= MAX_RATIO:
        return _refused(sheet, info)
    rows = info.context.rows(PAIRS, "training_sheet_id")
    return rows.load(sheet["id"], partial(_report, ratio=ratio, seed=seed or 0))


def _refused(sheet: Row, info: Info) -> Any:  # noqa: ANN401  (a future that fails)
    """The error, behind a turn of the database: by then each field beside this one has begun, and can be cancelled."""
    session = info.context

    async def turn(_keys: list[str]) -> Mapping[str, None]:
        await session.pool.fetchval("SELECT 1")
        return {}

    return session.loader("turn", lambda: Loader[None](turn, None)).load(sheet["id"], _refuse)


def _refuse(_turn: None) -> None:
    message = f"trainValSplit: must be between {MIN_RATIO} and {MAX_RATIO}"
    raise GraphQLError(message, extensions={"code": "INVALID_INPUT"})


def judged(pair: Row, label: Label | None) -> Verdict:
    """What the gates say of a pair under its canonical label."""
    malformed = pair["defect"] is not None
    return gates.verdict(
        PairStatus(pair["status"]), _uses(pair), None if label is None else _uses(label), malformed=malformed
    )


def _uses(row: Label) -> Uses:
    return Uses(frozenset(map(DataUse, row["allowed_uses"])), frozenset(map(DataUse, row["prohibited_uses"])))


def _label(row: Row) -> Label | None:
    """The columns of a pair's label that stand beside its own."""
    if row["label_allowed"] is None:
        return None
    return {"allowed_uses": row["label_allowed"], "prohibited_uses": row["label_prohibited"]}


def _report(rows: Sequence[Row], *, ratio: float, seed: int) -> Mapping[str, object]:
    labels = [_label(row) for row in rows]
    verdicts = [judged(row, label) for row, label in zip(rows, labels, strict=True)]
    candidates = [
        Candidate(
            row["id"],
            row["canonical_label_id"],
            row["item_ref"],
            row["question_digest"],
            gates.may_validate(_uses(row), None if label is None else _uses(label)),
        )
        for row, label, found in zip(rows, labels, verdicts, strict=True)
        if found is Verdict.ELIGIBLE
    ]
    counts = Counter(verdicts)
    malformed = Counter(row["defect"] for row, found in zip(rows, verdicts, strict=True) if found is Verdict.MALFORMED)
    train, validation = _sides(candidates, ratio, seed)
    return {
        "total_pairs": len(rows),
        "eligible_pairs": len(candidates),
        "train_pairs": train,
        "val_pairs": validation,
        "excluded": [
            {"verdict": rule, "count": counts[rule]}
            for rule in Verdict
            if rule is not Verdict.ELIGIBLE and counts[rule]
        ],
        "defects": [{"code": code, "count": malformed[code]} for code in Defect if malformed[code]],
        "pairs_with_control_tokens": sum(
            found is Verdict.ELIGIBLE and row["control_token"] is not None
            for row, found in zip(rows, verdicts, strict=True)
        ),
    }


def _sides(candidates: Sequence[Candidate], ratio: float, seed: int) -> tuple[int, int]:
    """How many pairs are on each side; without a split, all are on the train side."""
    if candidates:
        try:
            sides = split(candidates, ratio, seed)
        except TooFew:
            pass
        else:
            return len(sides.train), len(sides.validation)
    return len(candidates), 0
