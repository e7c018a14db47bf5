"""What was seen before, in little room: by eight bytes of a digest, and of very many the oldest are forgotten.

A mock may serve for days. What it has seen decides about what comes (the same body again is another try), so it is
kept; a hundred bytes for each, and at most `2 * MOST` of them.
"""

from hashlib import blake2b
from typing import Generic, TypeVar

MOST = 10_000

Value = TypeVar("Value")


class Remembered(Generic[Value]):
    """Values by names, as a mapping has them. The older half goes when the younger one is full."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._young: dict[int, Value] = {}
        self._old: dict[int, Value] = {}

    def get(self, *name: str | bytes | int | None) -> Value | None:
        """What is remembered by this name, or None."""
        key = _key(name)
        found = self._young.get(key)
        return self._old.get(key) if found is None else found

    def put(self, value: Value, *name: str | bytes | int | None) -> None:
        """Remember it by this name, in place of what was there."""
        if len(self._young) >= self._most:
            self._old, self._young = self._young, {}
        self._young[_key(name)] = value

    def forget(self, *name: str | bytes | int | None) -> None:
        """Let the name be as never seen."""
        key = _key(name)
        self._young.pop(key, None)
        self._old.pop(key, None)

    def clear(self) -> None:
        """Forget everything."""
        self._young, self._old = {}, {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)


def _key(name: tuple[str | bytes | int | None, ...]) -> int:
    return int.from_bytes(blake2b(repr(name).encode(), digest_size=8).digest())
