"""Pairs as the files that trainers read."""
