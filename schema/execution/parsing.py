"""From a text to its syntax tree, without the tokens that graphql-core keeps in it."""

from typing import Final

from graphql import DocumentNode, GraphQLError, ListValueNode, Node, ObjectValueNode, Token, TokenKind, parse

from schema.execution.document_limits import MOST_COMMENTS, MOST_ENTRIES, MOST_TOKENS

NO_TOKEN: Final = Token(TokenKind.SOF, 0, 0, 0, 0)


def parsed(text: str) -> DocumentNode:
    """The syntax tree of a text. Raises `GraphQLError`, with `TOO_COMPLEX` for long lists and objects in it.

    Tokens refer to each other in both directions: a tree with them ends in a collection of cycles only, and takes
    twice the memory. Locations keep the numbers that errors are worded with. `token_count` is what was parsed.
    """
    document = parse(text, max_lexical_tokens=MOST_TOKENS, max_comments=MOST_COMMENTS)
    token = document.loc.start_token if document.loc is not None else None
    entries = _forget_tokens(document)
    while token is not None:
        following, token.prev, token.next = token.next, None, None
        token = following
    if entries > MOST_ENTRIES:
        message = f"the document has more than {MOST_ENTRIES:,} entries of lists and objects; send them as variables"
        raise GraphQLError(message, extensions={"code": "TOO_COMPLEX"})
    return document


def _forget_tokens(document: DocumentNode) -> int:
    """Drop what refers to tokens; the number of entries that lists and objects have."""
    entries, waiting = 0, list[Node]([document])
    while waiting:
        node = waiting.pop()
        if node.loc is not None:
            node.loc.start_token = node.loc.end_token = NO_TOKEN
        entries += _entries(node)
        for key in node.keys:
            value = getattr(node, key, None)
            if isinstance(value, Node):
                waiting.append(value)
            elif isinstance(value, tuple):
                waiting += [item for item in value if isinstance(item, Node)]
    return entries


def _entries(node: Node) -> int:
    match node:
        case ListValueNode(values=entries) | ObjectValueNode(fields=entries):
            return len(entries)
    return 0
