"""A second implementation of the queries: the schema's text under graphql-core, with resolvers written by hand."""
