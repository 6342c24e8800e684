"""Which questions are one, for the split."""

import unicodedata
from typing import Literal, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as some

from server.domain.examples import Message
from server.domain.questions import ONE_SIGN, normalised, question_digest
from tests.server.domain.spoken import conversations, spoken, texts

Form: TypeAlias = Literal["NFC", "NFD", "NFKC", "NFKD"]
FORMS: tuple[Form, ...] = ("NFC", "NFD", "NFKC", "NFKD")
INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u200e\u202a\u2066\u034f\ufe0f\u3164\U000e0020"
WORDS = some.lists(some.text("abcxyz019äß", min_size=1, max_size=6), min_size=1, max_size=6)


@given(conversations)
def test_the_question_is_all_before_the_last_answer(messages: list[Message]) -> None:
    answers = [index for index, message in enumerate(messages) if message.role == "assistant"]
    if answers:
        before = messages[: answers[-1]]
        assert question_digest(messages) == question_digest([*before, Message("assistant", "another answer")])


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("When is it due?", "  when   IS it\tdue? ", True),
        ("ﬁle №5", "file No5", True),
        ("Straße", "STRASSE", True),
        ("Who signs invoices?", "Who signs inv\u200boices?", True),
        ("Who signs invoices?", "Who signs invoices ?", True),
        ("Who signs invoices?", "\ufeffWho signs invoices\u202f\uff1f", True),
        ("Who signs (all) invoices, then?", "Who signs ( all ) invoices , then ?", True),
        ("What is the firm\u2019s \u201cnet\u201d \u2013 today?", 'What is the firm\'s "net" - today?', True),
        ("Qui signe ?", "Qui signe?", True),
        ("cafe\u0301", "CAF\u00c9", True),
        ("invoice 17", "invoice 18", False),
        ("Due?", "Due", False),
        ("a b", "ab", False),
        ("1 2", "12", False),
        ("C", "C++", False),
        ("5 > 3", "5 < 3", False),
    ],
)
def test_questions_are_compared_by_their_words(one: str, other: str, *, equal: bool) -> None:
    digests = [question_digest([Message("user", text), Message("assistant", "a")]) for text in (one, other)]
    assert (digests[0] == digests[1]) is equal


def test_who_speaks_belongs_to_the_question() -> None:
    assert question_digest(spoken("user: a", "assistant")) != question_digest(spoken("system: a", "assistant"))


@given(texts, some.lists(some.tuples(some.integers(0, 40), some.sampled_from(INVISIBLE)), max_size=5))
def test_invisible_characters_make_no_difference(text: str, inserted: list[tuple[int, str]]) -> None:
    other = text
    for place, character in inserted:
        other = other[:place] + character + other[place:]
    assert normalised(other) == normalised(text)


@given(texts, some.sampled_from(FORMS))
def test_how_a_text_is_composed_makes_no_difference(text: str, form: Form) -> None:
    if text == text.translate(ONE_SIGN):
        assert normalised(unicodedata.normalize(form, text)) == normalised(unicodedata.normalize("NFC", text))


@given(WORDS, some.sampled_from([" ", "  ", "\t", "\u00a0", "\n\u2003"]), some.sampled_from("?!.,;:()"))
def test_how_words_are_set_apart_makes_no_difference(words: list[str], space: str, mark: str) -> None:
    assert normalised(space.join(words) + space + mark) == normalised(" ".join(words) + mark)


@given(WORDS, WORDS)
def test_other_words_are_another_question(words: list[str], others: list[str]) -> None:
    folded = [[word.casefold() for word in side] for side in (words, others)]
    assert (normalised(" ".join(words)) == normalised(" ".join(others))) is (folded[0] == folded[1])
