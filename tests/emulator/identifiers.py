"""Identifiers that look like Databricks' own and are the same for the same seed."""

import hashlib
import itertools
import string


class Identifiers:
    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._order = itertools.count()

    def hexadecimal(self, length: int = 32) -> str:
        return hashlib.sha256(f"{self._seed}:{next(self._order)}".encode()).hexdigest()[:length]

    def number(self, digits: int = 15) -> int:
        """A number with so many digits that JavaScript can still hold it."""
        floor = int(10 ** (digits - 1))
        return floor + int(self.hexadecimal(16), 16) % (9 * floor)

    def word(self, length: int = 6) -> str:
        letters = string.ascii_lowercase + string.digits
        rest = int(self.hexadecimal(16), 16)
        return "".join(letters[(rest // 36**place) % 36] for place in range(length))
