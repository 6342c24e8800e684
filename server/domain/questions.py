"""When two questions are the same, so that the split keeps their pairs on one side."""

import hashlib
import json
import re
import unicodedata
from collections.abc import Sequence
from typing import Final

from server.domain.examples import Message, Role
from server.domain.invisible import without_invisible

SPACE_AT_PUNCTUATION: Final = re.compile(r" ?([^\w ]) ?")
ONE_SIGN: Final = str.maketrans("‘’‚‛′“”„‟″«»‐‑‒–—―−", '\'\'\'\'\'"""""""-------')  # noqa: RUF001  (what is unified)


def question_digest(messages: Sequence[Message]) -> str:
    """sha256 (hex) of the normalised question: all messages before the last assistant turn.

    A key to group by, never shown or trained on. See `normalised`.
    """
    last = max((index for index, message in enumerate(messages) if message.role == Role.ASSISTANT), default=None)
    question = [[message.role, normalised(message.content)] for message in messages[:last]]
    return hashlib.sha256(json.dumps(question, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()


def normalised(text: str) -> str:
    """A text as questions are compared.

    NFKC, case-folded, without invisible characters; quotes and dashes of all kinds are one; white space is collapsed,
    and does not count beside punctuation. Letters, digits and punctuation are kept, because "invoice 17" and
    "invoice 18" are different questions.
    """
    folded = unicodedata.normalize("NFKC", without_invisible(text).translate(ONE_SIGN)).casefold()
    collapsed = " ".join(unicodedata.normalize("NFKC", folded).split())
    return SPACE_AT_PUNCTUATION.sub(r"\1", collapsed)
