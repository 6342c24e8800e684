"""The whole schema: types, roots, scalars, and how its fields are read."""

import strawberry
from graphql import GraphQLSchema
from strawberry.schema.config import StrawberryConfig

from schema.reads.resolve import attach
from schema.roots.mutation import Mutation
from schema.roots.query import Query
from schema.roots.subscription import Subscription
from schema.strawberry_internals import build_inputs_when_coerced, core_schema
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
    schema = core_schema(declare())
    attach(schema)
    build_inputs_when_coerced(schema)
    return schema
