"""GraphiQL, served by Tunegraph itself."""
