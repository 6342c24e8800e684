"""The server without GraphQL: domain, storage, trainers, registry, services, and the program's commands."""
