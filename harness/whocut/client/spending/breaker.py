"""Whether so many of the last attempts failed that the next one would be money thrown away. Pure.

`settling` says what counts as failed: an attempt that may have been paid for and brought nothing. So does an answer
after which no other can be better (a wrong key, no money left). A rate limit's 429 counts neither way: it costs
nothing, comes from an API that works, and finding it is what some scenarios are for.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """Opens where more than `share` of the last `window` attempts failed, `at_least` so many having ended."""

    window: int = 20
    at_least: int = 10
    share: float = 0.5

    def opens(self, results: Sequence[bool]) -> bool:
        """Whether nothing more should be sent after these, the last of them last; True is a failure."""
        last = list(islice(reversed(results), self.window))
        return len(last) >= self.at_least and sum(last) > self.share * len(last)

    @property
    def says(self) -> str:
        """The bound in half a sentence."""
        return f"more than {self.share:.0%} of the last {self.window} attempts fail"
