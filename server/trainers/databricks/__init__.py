"""What trains in a Databricks workspace: FMAPI, its successor AI Runtime, and what both need there."""
