import json
import unicodedata
from collections import Counter
from pathlib import Path

import pytest

from server.domain.defects import Defect, PairDefect, defect
from server.domain.gates import DataUse, PairStatus, Verdict
from server.domain.questions import question_digest
from server.imports.lines import Example, parse
from tests.oracle import gates
from tests.oracle.gates import Uses

FILE = Path(__file__).parents[2] / "examples" / "invoice_desk.jsonl"
ORDER = (
    "item_ref",
    "messages",
    "prompt",
    "response",
    "status",
    "reviewed_by",
    "allowed_uses",
    "prohibited_uses",
    "canonical_label",
)
PARAPHRASES = ("a", "b", "c", "d", "e")
TOPICS = [f"inv-{number:03}" for number in range(1, 61)]


@pytest.fixture(scope="module")
def lines() -> list[bytes]:
    return FILE.read_bytes().splitlines()


@pytest.fixture(scope="module")
def pairs(lines: list[bytes]) -> dict[str, Example]:
    """By item; reading them is the import's own work, so a line that it refuses fails every test here."""
    read = [parse(line) for line in lines]
    return {pair.item_ref: pair for pair in read if pair.item_ref}


def uses(allowed: list[str], prohibited: list[str]) -> Uses:
    return Uses({DataUse(use) for use in allowed}, {DataUse(use) for use in prohibited})


def label_uses(pair: Example) -> Uses | None:
    return uses(pair.label.allowed_uses, pair.label.prohibited_uses) if pair.label else None


def verdict(pair: Example) -> Verdict:
    own = uses(pair.allowed_uses, pair.prohibited_uses)
    malformed = defect(pair.messages) is not None
    return gates.verdict(pair.status, own, label_uses(pair), malformed=malformed)


def questions(pair: Example) -> str:
    spoken = " ".join(message.content for message in pair.messages[:-1])
    return " ".join(unicodedata.normalize("NFKC", spoken).casefold().split())


def test_each_item_comes_once_and_in_order(lines: list[bytes], pairs: dict[str, Example]) -> None:
    assert len(lines) == len(pairs) == 339
    assert list(pairs) == sorted(pairs)


def test_keys_are_written_in_one_order_and_texts_without_escapes(lines: list[bytes]) -> None:
    for line in lines:
        content = json.loads(line)
        assert list(content) == [key for key in ORDER if key in content]
        assert line.decode() == json.dumps(content, ensure_ascii=False)


def test_sixty_answers_have_five_eligible_paraphrases_each(pairs: dict[str, Example]) -> None:
    answers: set[str] = set()
    for topic in TOPICS:
        paraphrases = [pairs[f"{topic}-{letter}"] for letter in PARAPHRASES]
        assert {verdict(pair) for pair in paraphrases} == {Verdict.ELIGIBLE}
        assert {len(pair.messages) for pair in paraphrases} == {2}
        (answer,) = {pair.messages[-1].content for pair in paraphrases}
        answers.add(answer)
    assert len(answers) == 60


def test_the_gates_refuse_lines_of_every_kind(pairs: dict[str, Example]) -> None:
    assert Counter(verdict(pair) for pair in pairs.values()) == {
        Verdict.ELIGIBLE: 303,
        Verdict.NOT_LABELED: 19,
        Verdict.USE_PROHIBITED: 9,
        Verdict.USE_NOT_ALLOWED: 6,
        Verdict.MALFORMED: 2,
    }


def test_every_status_occurs_and_all_but_the_unlabeled_name_a_reviewer(pairs: dict[str, Example]) -> None:
    assert Counter(pair.status for pair in pairs.values()) == {
        PairStatus.LABELED: 320,
        PairStatus.UNLABELED: 10,
        PairStatus.REJECTED: 6,
        PairStatus.FLAGGED: 3,
    }
    for pair in pairs.values():
        assert (pair.reviewed_by is None) == (pair.status is PairStatus.UNLABELED)


def test_personal_data_is_prohibited_for_training_by_the_pair_or_by_its_label(pairs: dict[str, Example]) -> None:
    refused = {item: pair for item, pair in pairs.items() if verdict(pair) is Verdict.USE_PROHIBITED}
    by_label = [item for item, pair in refused.items() if DataUse.TRAINING not in pair.prohibited_uses]
    assert (len(refused), by_label) == (9, ["inv-072-a"])


def test_lines_kept_for_tests_repeat_a_known_answer_in_other_words(pairs: dict[str, Example]) -> None:
    kept = {item: pair for item, pair in pairs.items() if verdict(pair) is Verdict.USE_NOT_ALLOWED}
    assert Counter(tuple(pair.allowed_uses) for pair in kept.values()) == {
        ("EVALUATION", "TESTING"): 5,
        ("FEW_SHOT",): 1,
    }
    for item, pair in kept.items():
        assert pair.messages[-1] == pairs[f"{item.rpartition('-')[0]}-a"].messages[-1]


def test_the_malformed_lines_show_two_different_defects(pairs: dict[str, Example]) -> None:
    defects = {item: found for item, pair in pairs.items() if (found := defect(pair.messages))}
    assert defects == {
        "inv-033-f": PairDefect(Defect.EMPTY_ANSWER, 2),
        "inv-052-f": PairDefect(Defect.NO_ASSISTANT_TURN, None),
    }


def test_labels_name_a_policy_and_two_of_them_narrow_the_uses(pairs: dict[str, Example]) -> None:
    labels = {item: pair.label for item, pair in pairs.items() if pair.label}
    assert len(labels) == 47
    for label in labels.values():
        assert label.label_type == "answer_policy"
        assert list(json.loads(label.label_data)) == ["policy", "section", "owner"]
    narrowing = {
        item: (set(DataUse) - set(label.allowed_uses), label.prohibited_uses)
        for item, label in labels.items()
        if len(label.allowed_uses) < len(DataUse) or label.prohibited_uses
    }
    assert narrowing == {"inv-027-b": ({"VALIDATION"}, []), "inv-072-a": (set(), ["TRAINING"])}


def test_one_eligible_pair_may_not_be_used_for_validation(pairs: dict[str, Example]) -> None:
    train_only = [
        item
        for item, pair in pairs.items()
        if verdict(pair) is Verdict.ELIGIBLE
        and not gates.may_validate(uses(pair.allowed_uses, pair.prohibited_uses), label_uses(pair))
    ]
    assert train_only == ["inv-027-b"]


def test_some_eligible_lines_are_conversations_or_bring_a_system_message(pairs: dict[str, Example]) -> None:
    longer = {
        item: tuple(message.role for message in pair.messages)
        for item, pair in pairs.items()
        if verdict(pair) is Verdict.ELIGIBLE and len(pair.messages) > 2
    }
    conversation = ("user", "assistant", "user", "assistant")
    assert longer == {
        "inv-029-f": conversation,
        "inv-032-f": ("system", "user", "assistant"),
        "inv-043-f": conversation,
    }


def test_no_two_questions_are_the_same(pairs: dict[str, Example]) -> None:
    assert len({questions(pair) for pair in pairs.values()}) == len(pairs)
    assert len({question_digest(pair.messages) for pair in pairs.values()}) == len(pairs)


def test_people_and_addresses_are_made_up(pairs: dict[str, Example]) -> None:
    spoken = " ".join(message.content for pair in pairs.values() for message in pair.messages)
    addresses = [word.strip(".,:;!?") for word in spoken.split() if "@" in word]
    addresses += [pair.reviewed_by for pair in pairs.values() if pair.reviewed_by]
    assert {address.rpartition("@")[2] for address in addresses} == {"example.com"}
