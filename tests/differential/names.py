"""Response keys that a compiler to SQL is likely to stumble over."""

from collections.abc import Sequence
from random import Random
from typing import Final

from tests.differential.constructs import Construct

OF_COMPILER: Final = (
    *("r", "r1", "o", "x1", "p2", "cursor", "place", "key", "value", "row_to_json", "t", "rows", "item", "one"),
    *("r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9"),
    *("rn", "json", "total", "low", "high", "ids", "label", "lineage", "frozen", "used", "data", "errors", "_", "__"),
)
OF_SQL: Final = (
    *("select", "from", "where", "order", "group", "user", "null", "true", "false", "all", "end", "limit", "table"),
    *("id", "created_at", "training_sheet_id", "sequence", "count", "json_agg", "array_agg", "coalesce", "ctid"),
)
PREFIX: Final = "a_name_that_goes_on_for_longer_than_Postgres_keeps_names_of_col"  # 63 bytes


def response_key(
    random: Random, name: str, siblings: Sequence[str], taken: Sequence[str]
) -> tuple[str, Construct | None]:
    """A key for a field, and what is special about it: mostly its own name."""
    chance = random.randrange(20)
    key, special = name, None
    match chance:
        case 0 | 1:
            key, special = random.choice(OF_COMPILER), Construct.ALIAS_OF_COMPILER
        case 2:
            key, special = random.choice(OF_SQL), Construct.ALIAS_OF_SQL
        case 3 if taken:
            change = random.choice((str.upper, str.lower, str.swapcase))
            key, special = change(random.choice(taken)), Construct.ALIAS_BY_CASE
        case 4:
            tail = random.choice(("", "a", "b", "A", "_and_longer_still" * 5))
            key, special = PREFIX + tail, Construct.ALIAS_LONG
        case 5 if siblings:
            key, special = random.choice(siblings), Construct.ALIAS_OF_FIELD
        case 6 if random.randrange(3) == 0:
            key, special = "__typename", Construct.ALIAS_TYPENAME
        case 7 | 8:
            key, special = f"{random.choice('abcXYZ')}{random.randrange(9)}", Construct.ALIAS
    return key, special
