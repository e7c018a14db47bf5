"""Every wording of a cut: the verdict's one phrase, the sentences that count, and what followed in other layers.

The terminal, a failing test, a figure and a page say a cut alike, because they say it by these functions. They know
no verdict: what they need of one is a `CutLike`, and a verdict and a row of a summary both are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from whocut.verdict.needed import Needed
from whocut.words import format_duration, plural, rounded_duration

if TYPE_CHECKING:
    from whocut.chain.timers import JobTimer, Phase, TimerKind

_READABLE: Final = 36  # a knob's full path belongs in a table; a sentence is to be read


class CutLike(Protocol):
    """What is said of a cut. `tie` names layers that nothing tells apart; `reason` is there in place of a timer."""

    @property
    def layer(self) -> str | None:
        """The layer that cut, by its name in the chain."""

    @property
    def title(self) -> str | None:
        """The same for people."""

    @property
    def tie(self) -> tuple[str, ...]:
        """The layers that nothing tells apart; empty where one cut."""

    @property
    def timer(self) -> TimerKind | JobTimer | None:
        """The timer that fired."""

    @property
    def directive(self) -> str | None:
        """The knob that sets it."""

    @property
    def limit_s(self) -> float | None:
        """How long it was."""

    @property
    def phase(self) -> Phase | None:
        """Which part of the exchange had begun."""

    @property
    def reason(self) -> str:
        """How it ended, where no timer did."""


class BehindLike(Protocol):
    """What became of the generation behind an attempt."""

    @property
    def orphaned(self) -> bool:
        """Whether it ran on after the last layer that waited for it had gone."""

    @property
    def ran_on_s(self) -> float:
        """For how long."""

    @property
    def billed(self) -> bool:
        """Whether it was billed."""

    @property
    def delivered(self) -> bool:
        """Whether its image was taken."""

    @property
    def settled(self) -> bool:
        """Whether it had ended."""

    @property
    def stopped(self) -> bool:
        """Whether it ended by a cancel, before the image was made."""

    @property
    def handed_to(self) -> str | None:
        """A layer that took the image although its own caller had gone."""


# --- the verdict's phrase ---------------------------------------------------------------------------------


def cut_phrase(cut: CutLike, after_s: float | None) -> str:
    """``nginx cut by first_byte after 60 s, while waiting``."""
    after = f" after {rounded_duration(after_s)}" if after_s is not None else ""
    where = f", {cut.phase.while_}" if cut.phase else ""
    return f"{_who(cut)} cut {_how(cut)}{after}{where}" + (" (a tie)" if cut.tie else "")


def nobody_phrase(saw: str, reason: str) -> str:
    """``nobody cut: delivered``."""
    return f"nobody cut: {saw}" + (f" ({reason})" if reason else "")


def unattributed_phrase(why: str, missing: tuple[str, ...]) -> str:
    """``unattributed: … ; to say more: a span of nginx``."""
    return f"unattributed: {why}" + (f"; to say more: {', '.join(missing)}" if missing else "")


def became(behind: BehindLike) -> str:
    """``the generation ran on for 135 s and was billed``."""
    billed = "was billed" if behind.billed else "was not billed"
    if not behind.settled:
        return "the generation was still running when the run ended"
    if behind.orphaned:
        return f"the generation ran on for {rounded_duration(behind.ran_on_s)} and {billed}"
    if behind.handed_to:
        return f"the image went to {behind.handed_to}, which had no caller to give it to, and {billed}"
    if behind.delivered:
        return f"the generation had been delivered and {billed}"
    if behind.stopped:
        return f"the generation was stopped and {billed}"
    return f"the generation had finished and {billed}"


# --- cuts that are counted --------------------------------------------------------------------------------


def cut_name(cut: CutLike) -> str:
    """``nginx cut by first_byte``: a piece of a bar, a line of a legend."""
    return f"{_who(cut)} cut {_how(cut)}" + (" (a tie)" if cut.tie else "")


def cut_row(cut: CutLike, grade: str) -> str:
    """``nginx cut by first_byte (proxy_read_timeout, 60 s) while waiting · proven``: a line of a list."""
    where = f" {cut.phase.while_}" if cut.phase else ""
    return f"{_who(cut)} cut {_how(cut)}{_knob(cut)}{where} · {grade}"


def cut_count(cut: CutLike, attempts: int, of: int | None = None, *, noun: bool = True) -> str:
    """``NGINX cut 18 of 60 attempts by first_byte (proxy_read_timeout, 60 s)``: the beginning of a sentence.

    Of two layers that nothing tells apart neither timer is named: a table has both.
    """
    counted = attempts if of is None else of
    many = plural(counted, "attempt") if noun else f"{counted:,}"
    many = many if of is None else f"{attempts:,} of {many}"
    who = " and ".join(cut.tie) + " (a tie)" if cut.tie else str(cut.title or cut.layer)
    how = "" if cut.tie or not (cut.timer or cut.reason) else f" {_how(cut)}{_knob(cut, _READABLE)}"
    return f"{who[:1].upper()}{who[1:]} cut {many}{how}"


_NEEDED: Final = {
    Needed.WAIT: "The wait for the first byte would have been",
    Needed.GAP: "The gap between two events of the stream would have been",
    Needed.WHOLE: "The whole answer would have taken",
}


def cut_because(cut: CutLike, what: Needed, median_s: float, cuts: int) -> str:
    """Why a timer fired: what it would have had to allow, and what it allows.

    ``The wait for the first byte would have been 180 s (median of 3 cuts); NGINX's … allows 60 s.``
    """
    return (
        f"{_NEEDED[what]} {rounded_duration(median_s)} (median of {plural(cuts, 'cut')}); "
        f"{cut.title}'s {cut.directive} allows {format_duration(cut.limit_s)}."
    )


# --- one layer, in a row of its own -----------------------------------------------------------------------


def own_word(directive: str, timer: TimerKind, phase: Phase) -> str:
    """What a layer says of its own cut."""
    return f"its timer {directive} ({timer}) fired {phase.while_}"


def seen_by_taps(directive: str, timer: TimerKind, phase: Phase, limit_s: float) -> str:
    """What two taps saw of the cut of a real gateway between them."""
    limit = format_duration(limit_s)
    return f"saw it leave {phase.while_}, when its timer {directive} ({timer}, {limit}) was due"


def cut_note(directive: str, limit: str) -> str:
    """``cut: proxy_read_timeout 60 s``, beside a bar."""
    return f"cut: {directive} {limit}"


CALLER_WENT: Final = "because its caller went away"
"""Why the client ended an attempt by no timer."""
WITHOUT: Final = "without a timer"


def without_a_timer(why: object) -> str:
    """Why a layer ended an attempt by no timer of its own."""
    return f"{WITHOUT} ({why})"


# --- what followed from it in another layer -----------------------------------------------------------------

LEFT: Final = "its caller left"
SAW_NOTHING: Final = "saw nothing of it"
DOES_NOT_SAY: Final = "does not say"


def fired_later(directive: str | None) -> str:
    """A layer that was blind to its caller's leaving cut as well, when all was over."""
    return f"its timer{f' {directive}' if directive else ''} fired later, without a caller"


def fell_later(why: str) -> str:
    """A layer died, or gave up, when all was over."""
    return f"fell later: {why}"


def upstream_ended(how: object = None) -> str:
    """A layer's side towards the model was ended by its neighbour there."""
    return f"its upstream ended: {how}" if how else "its upstream ended it"


def passed_on(status: int | None, *, received: bool = False) -> str:
    """A whole answer went through it, or came to it."""
    return f"{'received' if received else 'passed on'} {status or 'the answer'}"


def _who(cut: CutLike) -> str:
    return " and ".join(cut.tie) if cut.tie else str(cut.layer)


def _how(cut: CutLike) -> str:
    return f"by {cut.timer}" if cut.timer else cut.reason or WITHOUT


def _knob(cut: CutLike, most: int | None = None) -> str:
    """The knob and its limit, where a timer fired."""
    if not cut.timer:
        return ""
    directive = cut.directive or str(cut.timer)
    if most is not None and len(directive) > most:
        directive = directive[: most - 1] + "…"
    limit = f", {format_duration(cut.limit_s)}" if cut.limit_s is not None else ""
    return f" ({directive}{limit})"
