"""What stands around GraphQL on HTTP: what every request passes, and the health pages."""
