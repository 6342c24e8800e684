"""Tests of what the API stands on."""
