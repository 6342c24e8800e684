"""A Databricks workspace, as the adapters call it."""
