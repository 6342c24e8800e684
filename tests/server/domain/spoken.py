"""Messages for tests, from few words."""

from hypothesis import strategies as some

from server.domain.examples import Message, Role

texts = some.text(some.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=40)
conversations = some.lists(some.builds(Message, some.sampled_from(Role), texts), min_size=1, max_size=6)


def spoken(*words: str) -> list[Message]:
    """Turns from "user: question" and the like; a bare role says "x"."""
    return [Message(role, content or "x") for role, _, content in (word.partition(": ") for word in words)]
