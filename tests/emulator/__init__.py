"""The Databricks endpoints that Tunegraph speaks with, for tests and the demo."""
