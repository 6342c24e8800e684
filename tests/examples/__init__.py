"""Tests of what the examples hold."""
