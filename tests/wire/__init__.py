"""The real clients of Databricks against the emulator."""
