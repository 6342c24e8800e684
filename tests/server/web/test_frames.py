"""The frames of texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.web.frames import LARGEST_KEPT_BYTES, TextFrames


@pytest.mark.parametrize(
    ("size", "head"),
    [
        (0, b"\x81\x00"),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (65_535, b"\x81\x7e\xff\xff"),
        (65_536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
def test_a_frame_is_whole_and_unmasked(size: int, head: bytes) -> None:
    assert TextFrames().frame("x" * size) == head + b"x" * size


def test_the_frame_of_one_text_is_made_once() -> None:
    frames, text = TextFrames(), "to all"
    assert frames.frame(text) is frames.frame(text)


def test_a_large_frame_is_not_kept() -> None:
    frames, small, large = TextFrames(), "small", "x" * LARGEST_KEPT_BYTES
    kept = frames.frame(small)
    assert frames.frame(large) == b"\x81\x7f" + LARGEST_KEPT_BYTES.to_bytes(8, "big") + large.encode()
    assert frames.frame(small) is kept


@given(st.lists(st.sampled_from(["", "a", "é", "\U0001f41f", "\u2028"])))
def test_each_text_gets_its_own_frame(texts: list[str]) -> None:
    frames = TextFrames()
    for text in texts:
        data = text.encode()
        assert frames.frame(text) == bytes([0x81, len(data)]) + data
