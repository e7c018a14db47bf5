"""Chance that can be repeated: every throw follows from the seed and from what was asked.

A request is known by its canonical body, its attempt number and how many times that pair was seen.
So the order in which different requests arrive decides nothing.
"""

from dataclasses import dataclass, field
from hashlib import blake2b
from statistics import NormalDist

from whocut_mock.remembered import Remembered

_NORMAL = NormalDist()
_STEPS = 1 << 53


@dataclass(frozen=True, slots=True)
class Dice:
    """The throws of one request; each is named, so none depends on how many came before it."""

    seed: bytes

    def fraction(self, throw: str) -> float:
        """A number strictly between 0 and 1."""
        drawn = int.from_bytes(self._digest(throw, 8)) >> 11
        return (drawn + 0.5) / _STEPS

    def between(self, throw: str, low: float, high: float) -> float:
        """A number between the two, evenly."""
        return low + (high - low) * self.fraction(throw)

    def normal(self, throw: str) -> float:
        """A standard normal deviate."""
        return _NORMAL.inv_cdf(self.fraction(throw))

    def hex(self, throw: str, digits: int) -> str:
        """So many hexadecimal digits; an even number of them."""
        return self._digest(throw, digits // 2).hex()

    def _digest(self, throw: str, size_bytes: int) -> bytes:
        return blake2b(throw.encode(), key=self.seed, digest_size=size_bytes).digest()


@dataclass
class Sightings:
    """How often each body was seen with each attempt number, since the start or the last reset."""

    seed: int
    worker: int = 0
    seen: Remembered[int] = field(default_factory=Remembered)

    def dice(self, body_digest: bytes, attempt: int) -> Dice:
        """The dice of this request; seen again, it gets others."""
        times = self.seen.get(body_digest, attempt) or 0
        self.seen.put(times + 1, body_digest, attempt)
        name = f"{self.seed}/{self.worker}/{attempt}/{times}/".encode()
        return Dice(blake2b(name + body_digest, digest_size=32).digest())
