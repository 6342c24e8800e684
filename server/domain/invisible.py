"""Characters that show nothing on a screen: what Unicode calls format characters, and what it says to ignore."""

import unicodedata
from typing import Final

IGNORABLE: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")
"""Default_Ignorable_Code_Point (Unicode 15, DerivedCoreProperties.txt) that are letters or marks by their category."""

SELECTORS: Final = ((0x180B, 0x180F), (0xFE00, 0xFE0F), (0xE0100, 0xE01EF))
"""Variation selectors, first and last: they choose how the character before them looks."""

BLANK: Final = "\u2800"  # a Braille cell without a dot: a symbol by its category
BEGINNING_CHARACTERS: Final = 32  # in which most texts show something


def without_invisible(text: str) -> str:
    """A text without its invisible characters; white space stays."""
    if text.isascii():
        return text
    return text.translate(dict.fromkeys(ord(character) for character in set(text) if _is_invisible(character)))


def is_blank(text: str) -> bool:
    """Whether a text shows nothing: white space, invisible and control characters, and marks without a letter."""
    return all(map(_shows_nothing, text[:BEGINNING_CHARACTERS])) and all(
        map(_shows_nothing, set(text[BEGINNING_CHARACTERS:]))
    )


def _is_invisible(character: str) -> bool:
    match unicodedata.category(character):
        case "Cf":
            return True
        case "Lo" | "Mn":
            code = ord(character)
            return character in IGNORABLE or any(first <= code <= last for first, last in SELECTORS)
    return False


def _shows_nothing(character: str) -> bool:
    return (
        unicodedata.category(character) in ("Cc", "Mn", "Me", "Mc")
        or character.isspace()
        or character == BLANK
        or _is_invisible(character)
    )
