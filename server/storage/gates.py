"""The two gates as SQL, which is the one place where they are decided.

Uses are those of the pair narrowed by its canonical label: prohibited in either is prohibited, allowed must be in both,
and prohibited wins over allowed.
"""

from sqlalchemy import ColumnElement, FromClause, Text, and_, case, func, literal_column, or_, true

from server.domain.gates import DataUse, PairStatus, Verdict


def verdict(pair: FromClause, label: FromClause) -> ColumnElement[str]:
    """The verdict on a row of qa_pairs, outer-joined with its row of canonical_labels."""
    return case(
        (pair.c.status != _literal(PairStatus.LABELED), _literal(Verdict.NOT_LABELED)),
        (_prohibited(DataUse.TRAINING, pair, label), _literal(Verdict.USE_PROHIBITED)),
        (~_allowed(DataUse.TRAINING, pair, label), _literal(Verdict.USE_NOT_ALLOWED)),
        (pair.c.defect.is_not(None), _literal(Verdict.MALFORMED)),
        else_=_literal(Verdict.ELIGIBLE),
    )


def may_validate(pair: FromClause, label: FromClause) -> ColumnElement[bool]:
    """Whether governance lets the pair stand on the validation side."""
    return and_(_allowed(DataUse.VALIDATION, pair, label), ~_prohibited(DataUse.VALIDATION, pair, label))


def _literal(word: str) -> ColumnElement[str]:
    """A word of ours, written into the statement: plans stay cached and no bind is spent on it."""
    return literal_column(f"'{word}'", Text)


def _prohibited(use: DataUse, pair: FromClause, label: FromClause) -> ColumnElement[bool]:
    return or_(
        _literal(use) == func.any(pair.c.prohibited_uses),
        func.coalesce(_literal(use) == func.any(label.c.prohibited_uses), literal_column("false")),
    )


def _allowed(use: DataUse, pair: FromClause, label: FromClause) -> ColumnElement[bool]:
    return and_(
        _literal(use) == func.any(pair.c.allowed_uses),
        func.coalesce(_literal(use) == func.any(label.c.allowed_uses), true()),
    )
