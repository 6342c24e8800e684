"""Reads, answered twice: by the product and by the oracle, on operations drawn from a seed."""
