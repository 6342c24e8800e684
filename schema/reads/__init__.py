"""Reads, compiled: a selection becomes one SQL statement, built from the declarations beside the fields."""
