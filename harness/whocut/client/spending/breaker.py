"""Whether so many of the last attempts failed that the next one would be money thrown away. Pure.

`settling` says what counts as failed: an attempt that may have been paid for and brought nothing. An answer after
which no other can be better counts as well (a wrong key, no money left). A rate limit's 429 counts neither way: it
costs nothing, comes from an API that works, and finding it is what some scenarios are for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

from whocut.client.spending.tally import REMEMBERED
from whocut.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Sequence


_WRITTEN: Final = re.compile(r"(\d{1,2})%(?:/(\d{1,3}))?")
OFF: Final = "off"


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """Opens where more than `share` of the last `window` attempts failed, `at_least` so many having ended.

    With a share of 1 it never opens.
    """

    window: int = 20
    at_least: int = 10
    share: float = 0.5

    def opens(self, results: Sequence[bool]) -> bool:
        """Whether nothing more should be sent after these, the last of them last; True is a failure."""
        last = list(islice(reversed(results), self.window))
        return len(last) >= self.at_least and sum(last) > self.share * len(last)

    @property
    def off(self) -> bool:
        """Whether it never opens."""
        return self.share >= 1

    @property
    def says(self) -> str:
        """The bound in half a sentence."""
        return f"more than {self.share:.0%} of the last {self.window} attempts fail"


def parse_breaker(written: str | None) -> Breaker:
    """The breaker as people write it: ``off``, a share like ``80%``, or of how many attempts, ``80%/50``.

    Raises:
        BadInput: it is not of that form, or no account remembers so many attempts.
    """
    if written is None:
        return Breaker()
    if written == OFF:
        return Breaker(share=1.0)
    told = _WRITTEN.fullmatch(written)
    window = int(told[2] or Breaker().window) if told else 0
    if told is None or not 1 <= window <= REMEMBERED:
        raise BadInput(
            f"the breaker is invalid: '{written}'. Write off, or the share of failures like 80%, or 80%/50 of the "
            f"last 50 attempts; {REMEMBERED} at most.",
            field="breaker",
        )
    return Breaker(share=int(told[1]) / 100, window=window, at_least=-(-window // 2))
