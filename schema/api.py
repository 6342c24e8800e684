"""The whole schema: types, roots, scalars, and how its fields are read."""

import strawberry
from graphql import GraphQLSchema
from strawberry.schema.config import StrawberryConfig

from schema.reads.resolve import attach
from schema.roots.mutation import Mutation
from schema.roots.query import Query
from schema.roots.subscription import Subscription
from schema.types.scalars import definitions


def declare() -> strawberry.Schema:
    """The schema as Strawberry reads it from the types; it prints itself as SDL."""
    return strawberry.Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        config=StrawberryConfig(scalar_map=definitions()),
    )


def build() -> GraphQLSchema:
    """The schema, ready to execute operations with a `schema.reads.context.Context`."""
    schema = declare()._schema  # noqa: SLF001  (Strawberry has no public way to its graphql-core schema)
    attach(schema)
    return schema
