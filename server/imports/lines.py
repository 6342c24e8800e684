"""One line of an import file: from bytes to a checked example, or the reason why not."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from server.domain import examples
from server.domain.errors import InvalidInput
from server.domain.examples import Message, Role
from server.domain.gates import DataUse, PairStatus
from server.services import inputs
from server.services.inputs import Path, refused

MAX_LINE_BYTES = 8 * 1024 * 1024
MARK = "\ufeff"

PAIR_KEYS = (
    "messages",
    "prompt",
    "response",
    "status",
    "allowed_uses",
    "prohibited_uses",
    "item_ref",
    "reviewed_by",
    "canonical_label",
)
MESSAGE_KEYS = ("role", "content")
LABEL_KEYS = ("label_type", "label_data", "allowed_uses", "prohibited_uses")
KINDS = {dict: "an object", list: "a list", str: "a text", bool: "true or false", int: "a number", float: "a number"}


@dataclass(frozen=True, slots=True)
class Label:
    """The canonical label of an example's item. `label_data` is JSON text."""

    label_type: str
    label_data: str
    allowed_uses: list[str]
    prohibited_uses: list[str]


@dataclass(frozen=True, slots=True)
class Example:
    """What a line says. `reviewed_by` is None when it names nobody."""

    messages: list[Message]
    status: PairStatus
    allowed_uses: list[str]
    prohibited_uses: list[str]
    item_ref: str | None
    reviewed_by: str | None
    label: Label | None


def parse(line: bytes) -> Example:
    """Read a line without its number or its file; raises `InvalidInput` with the place within the line.

    A key whose value is null counts as left out, whatever its name.
    """
    given = _object(_decoded(line), (), PAIR_KEYS)
    item_ref = _text(given, "item_ref", ())
    example = Example(
        messages=_messages(given),
        status=_status(given),
        allowed_uses=_uses(given, "allowed_uses", (), tuple(DataUse)),
        prohibited_uses=_uses(given, "prohibited_uses", (), ()),
        item_ref=inputs.optional(item_ref, ("item_ref",)),
        reviewed_by=inputs.optional(_text(given, "reviewed_by", ()), ("reviewed_by",)),
        label=_label(given),
    )
    if example.label is not None and item_ref is None:
        raise refused(("canonical_label",), "belongs to an item, so the line needs an item_ref")
    return example


def _decoded(line: bytes) -> object:
    try:
        return _DECODER.decode(line.decode())
    except UnicodeDecodeError as error:
        raise refused((), f"not UTF-8 text (byte 0x{line[error.start]:02x} at position {error.start + 1})") from None
    except json.JSONDecodeError as error:
        raise refused((), f"not valid JSON: {_not_json(error)}") from None
    except RecursionError:
        raise refused((), "JSON that is nested too deeply") from None
    except ValueError:  # the interpreter reads no whole number of more than 4300 digits
        raise refused((), "JSON with a number that has too many digits") from None


def _not_json(error: json.JSONDecodeError) -> str:
    """What is wrong, and what to do about it where that is known."""
    if error.doc.startswith(MARK, error.pos):
        remedy = "it is left where files were put together; take it out: perl -pi -e 's/\\xEF\\xBB\\xBF//g' FILE"
        return f"a byte order mark, U+FEFF, at column {error.colno}; {remedy}"
    if error.msg == "Extra data" and error.doc[: error.pos].endswith("\r"):
        remedy = "lines have to end with a line feed: tr '\\r' '\\n' < FILE > FILE.jsonl"
        return f"{error.msg} (column {error.colno}) after a carriage return; {remedy}"
    return f"{error.msg} (column {error.colno})"


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise refused((), f"the key {twice[:40]!a} is given twice in one object")
    return value


def _no_number(word: str) -> object:
    raise refused((), f"{word} is not JSON; leave the value out or use null")


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_number)


def _object(value: object, path: Path, keys: Collection[str]) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise _wrong_kind(value, path, "a JSON object")
    for key in value:
        if key not in keys and value[key] is not None:
            raise refused(path, f"unknown key {key[:40]!a}; use {', '.join(keys)}")
    return {key: item for key, item in value.items() if item is not None}


def _text(given: Mapping[str, object], key: str, path: Path) -> str | None:
    value = given.get(key)
    if value is not None and not isinstance(value, str):
        raise _wrong_kind(value, (*path, key), "a text")
    return value


def _needed(given: Mapping[str, object], key: str, path: Path) -> str:
    value = _text(given, key, path)
    if value is None:
        raise refused(path, f"{key} is missing")
    return value


def _list(value: object, path: Path) -> list[object]:
    if not isinstance(value, list):
        raise _wrong_kind(value, path, "a list")
    return value


def _wrong_kind(value: object, path: Path, expected: str) -> InvalidInput:
    return refused(path, f"must be {expected}, not {KINDS.get(type(value), 'null')}")


def _messages(given: Mapping[str, object]) -> list[Message]:
    if "prompt" in given or "response" in given:
        if "messages" in given:
            raise refused((), "give either messages, or prompt and response")
        messages = [
            Message(Role.USER.value, _needed(given, "prompt", ())),
            Message(Role.ASSISTANT.value, _needed(given, "response", ())),
        ]
        places: list[Path] = [("prompt",), ("response",)]
    elif "messages" in given:
        turns = _list(given["messages"], ("messages",))
        messages = [_message(turn, ("messages", str(index))) for index, turn in enumerate(turns)]
        places = []
    else:
        raise refused((), "give messages, or prompt and response")
    if problem := examples.unstorable(messages):
        where, reason = problem
        raise refused(places[int(where[0])] if places else ("messages", *where), reason)
    return messages


def _message(turn: object, path: Path) -> Message:
    given = _object(turn, path, MESSAGE_KEYS)
    return Message(_needed(given, "role", path), _needed(given, "content", path))


def _status(given: Mapping[str, object]) -> PairStatus:
    word = _text(given, "status", ())
    if word is None:
        return PairStatus.UNLABELED
    return PairStatus(_known(word, PairStatus, "status", ()))


def _uses(given: Mapping[str, object], key: str, path: Path, default: Collection[DataUse]) -> list[str]:
    if key not in given:
        return [use.value for use in default]
    path = (*path, key)
    words: list[str] = []
    for index, word in enumerate(_list(given[key], path)):
        if not isinstance(word, str):
            raise _wrong_kind(word, (*path, str(index)), "a text")
        words.append(_known(word, DataUse, "use", path))
    return inputs.uses(words, path)


def _known(word: str, words: type[StrEnum], noun: str, path: Path) -> str:
    upper = word.upper()
    if upper not in words.__members__:
        known = ", ".join(words.__members__).lower()
        raise refused(path, f"unknown {noun} {word[:40]!a}; use one of {known}")
    return upper


def _label(given: Mapping[str, object]) -> Label | None:
    if "canonical_label" not in given:
        return None
    path = ("canonical_label",)
    label = _object(given["canonical_label"], path, LABEL_KEYS)
    if "label_data" not in label:
        raise refused(path, "label_data is missing")
    return Label(
        label_type=inputs.filled(_needed(label, "label_type", path), (*path, "label_type")),
        label_data=inputs.label_data(label["label_data"], (*path, "label_data")),
        allowed_uses=_uses(label, "allowed_uses", path, tuple(DataUse)),
        prohibited_uses=_uses(label, "prohibited_uses", path, ()),
    )
