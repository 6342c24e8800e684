"""The seeded split into train and validation sides, whole groups at a time."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

MIN_RATIO = 0.1
MAX_RATIO = 0.95
INDEX_BYTES = 8


@dataclass(frozen=True, slots=True)
class Candidate:
    """An eligible pair as the split sees it. Pairs that share any of the three keys belong together."""

    id: str
    canonical_label_id: str | None
    item_ref: str | None
    question_digest: str
    may_validate: bool


class TooFew(Exception):
    """The pairs can't be split without an empty side; the message says why."""


@dataclass(frozen=True, slots=True)
class Split:
    """Ids of both sides, each in the order in which the pairs came."""

    train: tuple[str, ...]
    validation: tuple[str, ...]


def split(candidates: Sequence[Candidate], ratio: float, seed: int) -> Split:
    """Divide pairs so that the train side is as near to `ratio` as whole groups allow, and neither side is empty.

    The same pairs, ratio and seed give the same sides, in whatever order the pairs come: a group's place follows from
    the seed and its smallest id alone. A group with a pair that may not validate stays on the train side. Raises
    `TooFew` when a side would be empty.
    """
    groups = grouped(candidates)
    movable = [group for group in groups if all(member.may_validate for member in group)]
    total = len(candidates)
    _refuse_impossible(total, len(groups), len(movable))
    target = min(max(total - int(total * ratio + 0.5), 1), total - 1)
    chosen = _choose(movable, target, total - 1, seed)
    if not chosen:
        raise TooFew(
            f"the {total} eligible pairs can't be split without an empty side, because they hang together by canonical "
            "label, item or question; label pairs of other items"
        )
    return Split(
        train=tuple(candidate.id for candidate in candidates if candidate.id not in chosen),
        validation=tuple(candidate.id for candidate in candidates if candidate.id in chosen),
    )


def _refuse_impossible(pairs: int, groups: int, movable: int) -> None:
    if pairs == 1:
        raise TooFew("there is 1 eligible pair, and both sides need at least one; label more pairs")
    if groups == 1:
        raise TooFew(
            f"the {pairs} eligible pairs are one group (they share a canonical label, an item or a question), which "
            "can't be divided; label pairs of other items"
        )
    if not movable:
        raise TooFew(
            f"none of the {pairs} eligible pairs may be used for validation, so the validation side would be empty; "
            "allow the VALIDATION use on some"
        )


def grouped(candidates: Iterable[Candidate]) -> list[list[Candidate]]:
    """The connected components of pairs that share a canonical label, an item or a question."""
    parent: dict[str, str] = {}  # of texts alone: the cycle collector, which stops all threads, has nothing to visit

    def find(key: str) -> str:
        root = key
        while (above := parent.setdefault(root, root)) != root:
            root = above
        while parent[key] != root:
            parent[key], key = root, parent[key]
        return root

    members = list(candidates)
    for member in members:
        root = find(f"question {member.question_digest}")
        for kind, key in (("label", member.canonical_label_id), ("item", member.item_ref)):
            if key is not None:
                parent[find(f"{kind} {key}")] = root
    groups: dict[str, list[Candidate]] = defaultdict(list)
    for member in members:
        groups[find(f"question {member.question_digest}")].append(member)
    return list(groups.values())


def _choose(groups: Sequence[Sequence[Candidate]], target: int, most: int, seed: int) -> frozenset[str]:
    """Ids of whole groups whose sizes add up as near to `target` as possible, between 1 and `most`."""
    by_size: dict[int, list[Sequence[Candidate]]] = defaultdict(list)
    for group in groups:
        by_size[len(group)].append(group)
    counts = _counts_by_size({size: len(same_size) for size, same_size in by_size.items()}, target, most)
    return frozenset(
        member.id
        for size, count in counts.items()
        for group in islice(_drawn(by_size[size], seed), count)
        for member in group
    )


def _drawn(groups: Sequence[Sequence[Candidate]], seed: int) -> Iterator[Sequence[Candidate]]:
    """Groups in the order that the seed gives them.

    Sorted a small part at a time: sorting 100,000 in one go would hold up all other threads for 50 ms.
    """
    parts: list[list[bytes]] = [[] for _ in range(256)]
    for index, group in enumerate(groups):
        place = _draw(seed, min(member.id for member in group))
        parts[place[0]].append(place + index.to_bytes(INDEX_BYTES))
    for part in parts:
        part.sort()
        yield from (groups[int.from_bytes(place[-INDEX_BYTES:])] for place in part)


def _draw(seed: int, key: str) -> bytes:
    return hashlib.sha256(f"{seed}:{key}".encode()).digest()


def _counts_by_size(available: Mapping[int, int], target: int, most: int) -> dict[int, int]:
    """How many groups of each size to take: a subset sum over size classes, with sums as bits of whole numbers.

    There are at most about sqrt(2n) different sizes, so 100,000 pairs need a few hundred numbers of 12 kB. Among equal
    sums each class gives as near to its share as it can, so that the sides look alike.
    """
    sizes = sorted(available)
    reachable = [1]
    for size in sizes:
        sums, left, part = reachable[-1], available[size], 1
        while left:
            step = min(part, left)
            sums |= sums << (size * step)
            left -= step
            part *= 2
        reachable.append(sums)
    total = _nearest(reachable[-1], target, most)
    share = target / sum(size * count for size, count in available.items())
    counts: dict[int, int] = {}
    for index in range(len(sizes) - 1, -1, -1):
        size = sizes[index]
        possible = (
            count
            for count in range(min(available[size], total // size) + 1)
            if reachable[index] >> (total - count * size) & 1
        )
        counts[size] = min(possible, key=lambda count: (abs(count - available[sizes[index]] * share), count))
        total -= counts[size] * size
    return counts


def _nearest(sums: int, target: int, most: int) -> int:
    """The reachable sum in 1..most that is nearest to `target` (the smaller of two), or 0."""
    for distance in range(max(target, most - target) + 1):
        for candidate in (target - distance, target + distance):
            if 1 <= candidate <= most and sums >> candidate & 1:
                return candidate
    return 0
