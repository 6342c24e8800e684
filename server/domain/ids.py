"""Ids that carry their type: `job_` and the 32 hex digits of a version 7 UUID (RFC 9562), so they sort by creation."""

import secrets
import time
import uuid
from enum import StrEnum


class Kind(StrEnum):
    """What an id names: its prefix."""

    SHEET = "sheet"
    TEMPLATE = "tmpl"
    CANONICAL_LABEL = "label"
    TRAINING_SHEET = "tsheet"
    QA_PAIR = "qa"
    JOB = "job"
    EVENT = "evt"


def new(kind: Kind, serial: int = 0) -> str:
    """A new id. `serial` orders ids that are made together: it stands above the random bits and below the time."""
    milliseconds = time.time_ns() // 1_000_000
    ordered = (milliseconds << 80) | (0x7 << 76) | ((serial >> 30 & 0xFFF) << 64)
    tail = (0b10 << 62) | ((serial & 0x3FFFFFFF) << 32) | secrets.randbits(32)
    return f"{kind}_{uuid.UUID(int=ordered | tail).hex}"
