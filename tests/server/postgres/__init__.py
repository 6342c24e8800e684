"""Tests of the embedded Postgres, with real processes."""
