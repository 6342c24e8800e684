"""Everything the GraphQL API stands on."""
