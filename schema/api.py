"""The whole schema: types, roots, scalars, and how its fields are read."""

import strawberry
from graphql import GraphQLError
from strawberry.extensions import MaskErrors, MaxTokensLimiter
from strawberry.schema.config import StrawberryConfig
from strawberry.types import ExecutionContext

from schema.errors import is_for_clients, masked
from schema.limits import MOST_TOKENS, Limits
from schema.mutation import Mutation
from schema.query import Query
from schema.reads.resolve import attach
from schema.subscription import Subscription
from schema.types.scalars import definitions


class Masking(MaskErrors):
    """Logs what went wrong and keeps it from clients, in answers and in streams."""

    def __init__(self) -> None:
        super().__init__(should_mask_error=lambda error: not is_for_clients(error))

    def anonymise_error(self, error: GraphQLError) -> GraphQLError:
        """See `schema.errors.masked`."""
        return masked(error)


class Schema(strawberry.Schema):
    """Strawberry's schema, silent where `Masking` has logged already."""

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        """Do nothing: an error of a client's own making is no event for the log."""


def build() -> Schema:
    """A schema, ready to execute operations with a `schema.context.Context`."""
    schema = Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        config=StrawberryConfig(scalar_map=definitions()),
        extensions=[lambda: MaxTokensLimiter(MOST_TOKENS), Limits, Masking],
    )
    attach(schema._schema)  # noqa: SLF001  (Strawberry has no public way to its graphql-core schema)
    return schema
