"""Sets of indices that can be united: which positions of which axes are the same channel."""

from collections.abc import Sequence


class Indices:
    """Sets of indices that can be united (a union-find forest); the root of a set is its smallest index."""

    def __init__(self, size: int = 0) -> None:
        self._parent = list(range(size))

    def __len__(self) -> int:
        return len(self._parent)

    def fresh(self, size: int) -> list[int]:
        """Return `size` new indices."""
        start = len(self._parent)
        self._parent += range(start, start + size)
        return self._parent[start:]

    def root(self, index: int) -> int:
        """Return the smallest index of the set that holds `index`."""
        while self._parent[index] != index:
            self._parent[index] = self._parent[self._parent[index]]
            index = self._parent[index]
        return index

    def roots(self, indices: Sequence[int]) -> list[int]:
        return [self.root(index) for index in indices]

    def unite(self, one: Sequence[int], other: Sequence[int]) -> None:
        """Unite the sets of each pair."""
        for a, b in zip(one, other, strict=True):
            low, high = sorted((self.root(a), self.root(b)))
            self._parent[high] = low
