"""How long generations take, and when their partial images come: small tables of data.

The upstream of this project draws from the same figures, and it is a stranger that imports nothing of ours. So
it has them once more, on purpose, and a parity test holds the two together.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import NormalDist, median
from typing import TYPE_CHECKING, Literal

from whocut.chain.durations import parse_duration
from whocut.chain.models import refuse_unknown
from whocut.chain.prices import family_of, output_tokens
from whocut.errors import BadFile, BadInput, nearest
from whocut.words import format_duration

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable

    from whocut.chain.layers import Upstream

_Z95 = 1.6448536269514722  # the 95th percentile of the standard normal distribution
SIGMA = math.log(280 / 195) / _Z95  # the one measured spread: median 195 s, p95 280 s

# With streaming the first partial image comes after 5-15 s, says the article; the others are spread evenly.
FIRST_PARTIAL_S = (5.0, 15.0)
FIRST_PARTIAL_AT_MOST = 0.5  # of a generation that is quicker than that
OBSERVED = (
    26 / 35,
    32 / 35,
    33.5 / 35,
)  # the one published observation; the third is put half way to the end

_PACE = {"gpt-image-2.5-flare": 0.7, "gpt-image-2.6-flare": 0.7}
_MEDIUM_TOKENS, _MEDIUM_S = 1756, 80.0
_HIGH_TOKENS, _HIGH_S = 7024, 195.0
_GOLDEN = (
    math.sqrt(5) - 1
) / 2  # steps of this part of a line leave no part of it out, however many there are
_EXPONENT = math.log(_HIGH_S / _MEDIUM_S) / math.log(_HIGH_TOKENS / _MEDIUM_TOKENS)

Partials = Literal["article", "observed-2026"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A law of generation times: log-normal from its median and p95, or a user's own `timings_s` from a `file`.

    A median without a p95 borrows the measured spread; a `constant` one has none. `size` and `quality` are what
    is asked for, which decides the price.
    """

    name: str
    size: str = "1024x1024"
    quality: str = "high"
    median_s: float = 195.0
    p95_s: float | None = None
    constant: bool = False
    timings_s: tuple[float, ...] = field(default=(), repr=False)
    file: str = ""
    partials: Partials = "article"

    @property
    def says(self) -> str:
        """The law in half a sentence."""
        if self.timings_s:
            return f"{len(self.timings_s)} timings of your own, median {format_duration(self.median_s)}"
        if self.constant:
            return f"exactly {format_duration(self.median_s)}"
        return f"median {format_duration(self.median_s)}, p95 {format_duration(round(self.upper_s, 1))}"

    @property
    def upper_s(self) -> float:
        """The 95th percentile."""
        return self.p95_s or self.at(0.95)

    def at(self, share: float) -> float:
        """The generation time that this share of all generations stay below."""
        return self._at([share])[0]

    def longer_than(self, limit_s: float) -> float:
        """The share of generations that take longer than this."""
        if self.constant:
            return float(self.median_s > limit_s)
        if self.timings_s:
            return sum(taken_s > limit_s for taken_s in self.timings_s) / len(self.timings_s)
        return 1 - NormalDist().cdf(math.log(limit_s / self.median_s) / self.sigma)

    @property
    def sigma(self) -> float:
        """The spread of the logarithm."""
        return SIGMA if self.p95_s is None else math.log(self.p95_s / self.median_s) / _Z95

    def generations_s(self, count: int, partials: int, dice: random.Random) -> list[tuple[float, ...]]:
        """So many generations, as `emissions_s` has them: spread evenly over the law, in a random order.

        Each has its own share of the law, and the first partial images go through theirs in golden steps: some
        thousand of these say as much as a hundred thousand that fall by chance.
        """
        shift = dice.random()
        durations_s = self._at([(number + 0.5) / count for number in range(count)])
        firsts = ((number * _GOLDEN + shift) % 1.0 for number in range(count))
        generations = self.emissions_s(durations_s, partials, firsts)
        generations.sort(key=lambda _: dice.random())  # a third of what `shuffle` takes
        return generations

    def _at(self, shares: Iterable[float]) -> list[float]:
        """The generation times at these shares of the law."""
        if self.constant:
            return [self.median_s for _ in shares]
        if self.timings_s:
            return [_between(self.timings_s, share) for share in shares]
        median_s, sigma, deviation = self.median_s, self.sigma, NormalDist().inv_cdf
        return [median_s * math.exp(sigma * deviation(share)) for share in shares]

    def emissions_s(
        self, durations_s: Iterable[float], partials: int, firsts: Iterable[float]
    ) -> list[tuple[float, ...]]:
        """When bytes come of these generations: each partial image, and the end.

        `firsts`, from 0 to 1, say where in its window the first partial image of each comes.
        """
        if not partials:
            return [(duration_s,) for duration_s in durations_s]
        if self.partials == "observed-2026":
            parts = (*OBSERVED[:partials], 1.0)
            return [tuple([duration_s * part for part in parts]) for duration_s in durations_s]
        low_s, high_s = FIRST_PARTIAL_S
        steps = [index / partials for index in range(partials)]
        emissions_s = []
        for duration_s, first in zip(durations_s, firsts, strict=True):
            first_s = min(low_s + (high_s - low_s) * first, duration_s * FIRST_PARTIAL_AT_MOST)
            spread_s = duration_s - first_s
            emissions_s.append((*[first_s + spread_s * step for step in steps], duration_s))
        return emissions_s


def _between(timings_s: tuple[float, ...], share: float) -> float:
    """The quantile of sorted timings, between the two nearest."""
    at = share * (len(timings_s) - 1)
    low = int(at)
    high = min(low + 1, len(timings_s) - 1)
    return timings_s[low] + (timings_s[high] - timings_s[low]) * (at - low)


# "Real generation times measured against gpt-image-2" (the article, section 1).
ARTICLE = {
    profile.name: profile
    for profile in (
        Profile(name="1024-high", median_s=195, p95_s=280),
        Profile(name="1024-medium", quality="medium", median_s=80),
        Profile(name="1536-high-reference", size="1536x1024", median_s=130),
        Profile(name="1024-medium-2-references", quality="medium", median_s=44),
    )
}


def parse_profile(written: str, upstream: Upstream) -> Profile:
    """A profile by name, ``constant:195s``, ``lognormal:195s,280s`` or ``csv:FILE``; ``chain`` is the upstream's.

    ``@observed-2026`` behind any of them takes the partial images of the one published observation.

    Raises:
        BadInput: none of these.
        BadFile: the timings cannot be read.
    """
    law, _, partials = written.partition("@")
    if partials not in {"", "article", "observed-2026"}:
        raise BadInput(
            f"there are no partial images '{partials}'; write @article or @observed-2026", field="profile"
        )
    profile = _parse_law(law, upstream)
    return (
        replace(profile, name=written, partials="observed-2026") if partials == "observed-2026" else profile
    )


def _parse_law(written: str, upstream: Upstream) -> Profile:
    if written == "chain":
        return profile_of(upstream)
    if written in ARTICLE:
        return ARTICLE[written]
    law, colon, facts = written.partition(":")
    if law == "csv" and colon:
        timings_s = read_timings(Path(facts))
        return Profile(
            name=written,
            size=upstream.size,
            quality=upstream.quality,
            median_s=median(timings_s),
            timings_s=timings_s,
            file=facts,
        )
    if law in {"constant", "lognormal"} and colon:
        try:
            limits = [parse_duration(part.strip()) for part in facts.split(",")]
        except ValueError as error:
            raise BadInput(f"{error}", field="profile") from None
        median_s, p95_s = [*limits, None][:2]
        wanted = 1 if law == "constant" else 2
        if len(limits) == wanted and median_s and (wanted == 1 or (p95_s and p95_s > median_s)):
            return Profile(
                name=written,
                size=upstream.size,
                quality=upstream.quality,
                median_s=median_s,
                p95_s=p95_s,
                constant=law == "constant",
            )
    known = [*ARTICLE, "chain"]
    raise BadInput(
        f"there is no profile '{written}'{nearest(written, known)}; there are {', '.join(known)}, "
        f"constant:195s, lognormal:195s,280s (median and a p95 above it) and csv:FILE",
        field="profile",
    )


def profile_of(upstream: Upstream) -> Profile:
    """What the chain's upstream takes: the article's figure if there is one, else the rule through its points.

    Raises:
        BadInput: the model is unknown, and so is how long it takes; names the nearest one.
    """
    refuse_unknown(upstream, "say how long it takes with a profile like lognormal:195s,280s")
    found = [
        profile
        for profile in ARTICLE.values()
        if (profile.size, profile.quality) == (upstream.size, upstream.quality)
        and "reference" not in profile.name
    ]
    if found and family_of(upstream.model) == "gpt-image-2":
        return found[0]
    median_s = round(_by_tokens_s(output_tokens(upstream.model, upstream.size, upstream.quality)), 6)
    return Profile(
        name=f"{upstream.model} {upstream.size} {upstream.quality}",
        size=upstream.size,
        quality=upstream.quality,
        median_s=median_s * _PACE.get(family_of(upstream.model), 1.0),
    )


def read_timings(path: Path) -> tuple[float, ...]:
    """A user's own timings: a column of seconds, under a heading `duration_s` or under none; sorted.

    Raises:
        BadFile: the file holds no timing, or one that is not a positive number.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [(number, row) for number, row in enumerate(csv.reader(file), start=1) if row]
    except (OSError, UnicodeDecodeError) as error:
        raise BadFile(path, f"it cannot be read: {getattr(error, 'strerror', None) or error}") from None
    column = 0
    if rows and "duration_s" in rows[0][1]:
        column = rows.pop(0)[1].index("duration_s")
    timings_s = []
    for number, row in rows:
        try:
            seconds = float(row[column])
        except (ValueError, IndexError):
            seconds = math.nan
        if not 0 < seconds < math.inf:
            raise BadFile(path, f"column {column + 1} needs a positive number of seconds", line=number)
        timings_s.append(seconds)
    if not timings_s:
        raise BadFile(path, "there are no timings in it")
    return tuple(sorted(timings_s))


def _by_tokens_s(tokens: int) -> float:
    return _HIGH_S * math.pow(tokens / _HIGH_TOKENS, _EXPONENT)
