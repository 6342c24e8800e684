"""Ids: they carry their type and sort by creation."""

import re
import time
import uuid

import pytest

from server.domain import ids
from server.domain.ids import Kind


@pytest.mark.parametrize("kind", list(Kind))
def test_an_id_is_its_prefix_and_a_version_7_uuid(kind: Kind) -> None:
    before = time.time_ns() // 1_000_000
    made = ids.new(kind)
    prefix, _, digits = made.partition("_")
    assert prefix == kind
    assert re.fullmatch("[0-9a-f]{32}", digits)
    value = uuid.UUID(digits)
    assert (value.version, value.variant) == (7, uuid.RFC_4122)
    assert before <= value.int >> 80 <= time.time_ns() // 1_000_000


def test_ids_made_together_sort_by_their_serial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1_800_000_000_000_000_000)
    serials = [0, 1, 2, 999, 10_000, 2**29, 2**30, 2**31, 2**41]
    made = [ids.new(Kind.QA_PAIR, serial) for serial in serials]
    assert made == sorted(made)
    later = ids.new(Kind.QA_PAIR)
    monkeypatch.setattr(time, "time_ns", lambda: 1_800_000_000_001_000_000)
    assert ids.new(Kind.QA_PAIR) > max(*made, later)


def test_ids_made_together_differ() -> None:
    assert len({ids.new(Kind.EVENT, serial) for serial in range(10_000)}) == 10_000
