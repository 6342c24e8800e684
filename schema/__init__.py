"""The GraphQL API, and nothing else."""
