"""From a request to its result: documents, variables, limits, plans or graphql-core, errors."""
