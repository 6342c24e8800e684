"""The two gates: every pair has one verdict, that of the first rule that refuses it."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from server.domain.gates import DataUse, PairStatus, Verdict
from server.domain.status import ACTIVE, JobAction, JobStatus
from tests.oracle.gates import Uses, available_actions, may_validate, verdict

ALL = frozenset(DataUse)
NONE: frozenset[DataUse] = frozenset()
FREE = Uses(ALL, NONE)

use_sets = some.frozensets(some.sampled_from(DataUse))
uses = some.builds(Uses, use_sets, use_sets)
labels = some.none() | uses
statuses = some.sampled_from(PairStatus)


@pytest.mark.parametrize(
    ("status", "pair", "label", "malformed", "expected"),
    [
        (PairStatus.LABELED, FREE, None, False, Verdict.ELIGIBLE),
        (PairStatus.LABELED, FREE, FREE, False, Verdict.ELIGIBLE),
        (PairStatus.UNLABELED, FREE, None, False, Verdict.NOT_LABELED),
        (PairStatus.REJECTED, FREE, None, False, Verdict.NOT_LABELED),
        (PairStatus.FLAGGED, FREE, None, False, Verdict.NOT_LABELED),
        (PairStatus.LABELED, Uses(ALL, frozenset({DataUse.TRAINING})), None, False, Verdict.USE_PROHIBITED),
        (PairStatus.LABELED, FREE, Uses(ALL, frozenset({DataUse.TRAINING})), False, Verdict.USE_PROHIBITED),
        (PairStatus.LABELED, Uses(NONE, NONE), None, False, Verdict.USE_NOT_ALLOWED),
        (PairStatus.LABELED, FREE, Uses(frozenset({DataUse.TESTING}), NONE), False, Verdict.USE_NOT_ALLOWED),
        (PairStatus.LABELED, FREE, None, True, Verdict.MALFORMED),
        (PairStatus.UNLABELED, Uses(NONE, ALL), Uses(NONE, ALL), True, Verdict.NOT_LABELED),
        (PairStatus.LABELED, Uses(NONE, ALL), None, True, Verdict.USE_PROHIBITED),
        (PairStatus.LABELED, Uses(NONE, NONE), None, True, Verdict.USE_NOT_ALLOWED),
    ],
)
def test_the_first_rule_that_refuses_a_pair_is_its_verdict(
    status: PairStatus,
    pair: Uses,
    label: Uses | None,
    malformed: bool,  # noqa: FBT001
    expected: Verdict,
) -> None:
    assert verdict(status, pair, label, malformed=malformed) is expected


@given(statuses, uses, labels, some.booleans())
def test_a_pair_passes_only_when_both_gates_let_it(
    status: PairStatus,
    pair: Uses,
    label: Uses | None,
    malformed: bool,  # noqa: FBT001
) -> None:
    approved = status is PairStatus.LABELED and not malformed
    governed = all(
        DataUse.TRAINING in one.allowed and DataUse.TRAINING not in one.prohibited for one in (pair, label or FREE)
    )
    assert (verdict(status, pair, label, malformed=malformed) is Verdict.ELIGIBLE) is (approved and governed)


@given(uses, labels)
def test_validation_needs_both_to_allow_it_and_neither_to_prohibit_it(pair: Uses, label: Uses | None) -> None:
    both = [one for one in (pair, label) if one is not None]
    allowed = all(DataUse.VALIDATION in one.allowed for one in both)
    prohibited = any(DataUse.VALIDATION in one.prohibited for one in both)
    assert may_validate(pair, label) is (allowed and not prohibited)


@given(uses, uses, statuses)
def test_a_label_only_ever_narrows(pair: Uses, label: Uses, status: PairStatus) -> None:
    if verdict(status, pair, label, malformed=False) is Verdict.ELIGIBLE:
        assert verdict(status, pair, None, malformed=False) is Verdict.ELIGIBLE
    assert pair.narrowed_by(label).allowed <= pair.allowed
    assert pair.narrowed_by(label).prohibited >= pair.prohibited


@given(some.sampled_from(JobStatus), some.booleans())
def test_a_job_can_be_cancelled_once_and_only_before_its_end(status: JobStatus, requested: bool) -> None:  # noqa: FBT001
    offered = available_actions(status, cancel_requested=requested)
    assert offered == ((JobAction.CANCEL,) if status in ACTIVE and not requested else ())
