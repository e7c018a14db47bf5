"""The 30-second triage: from a pasted text to its likely cause, what to do, and what not to do.

The text is unwrapped (`unwrap`), its answers, log lines, numbers and words become facts (`exchange`, `loglines`,
`numbers`, `lexicon`, `refusals`). The facts are ranked (`decide`), and advice is given (`advice`). What
clients, layers and APIs say is data in ``words/``. Nothing that looks like a secret leaves this package.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from whocut.redact import redact, visible
from whocut.trace.logs.records import EndedBy as LogEndedBy
from whocut.verdict.triage.answer import SECTIONS, Triage
from whocut.verdict.triage.apart import apart
from whocut.verdict.triage.decide import decide
from whocut.verdict.triage.endings import Cause, EndedBy, Retry
from whocut.verdict.triage.exchange import Exchange, answers_of, har_of
from whocut.verdict.triage.facts import Facts
from whocut.verdict.triage.loglines import accounts_in
from whocut.verdict.triage.unwrap import Unwrapped, unwrap
from whocut.verdict.verdict import Grade

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from whocut.chain.layers import Layer
    from whocut.trace.logs.records import Account

_OTHERS: Final = 50  # further requests that are listed
_LONGEST: Final = 2000  # characters that are quoted of a text

__all__ = ["Cause", "EndedBy", "Retry", "Triage", "triage"]


def triage(text: str, *, elapsed_s: float | None = None, chain: Sequence[Layer] = ()) -> Triage:
    """The likely cause of a pasted text; further requests that it tells of are `others`.

    `elapsed_s` is how long the request took, where the text does not say it; `chain` names the layers on the way.
    """
    answers = [_clean(answer) for answer in _of_each(text, elapsed_s, chain)]
    first = max(answers, key=_telling)
    others = [answer for answer in answers if answer is not first]
    return replace(first, others=tuple(others[:_OTHERS]))


def _of_each(text: str, after_s: float | None, chain: Sequence[Layer]) -> Iterable[Triage]:
    """What is found of each request in the text; of one at least."""
    har = har_of(text)
    if har is not None:
        for exchange in har:
            yield decide(Facts(unwrap(exchange.text), exchange, None, after_s, chain, exchange.read_as))
        return
    pasted = unwrap(text)
    accounts, rest = accounts_in(pasted)
    if accounts:
        for account in accounts:
            read_as = f"a line of {account.layer}'s log"
            yield decide(Facts(pasted, None, account, after_s, chain, read_as))
        if (cut := _cut_behind(accounts, rest, after_s, chain)) is not None:
            yield cut
        return
    answers = _answers(pasted)
    if len(answers) > 1:
        for exchange in answers:
            yield decide(Facts(unwrap(exchange.text), exchange, None, after_s, chain, exchange.read_as))
        return
    only = answers[0] if answers else None
    if only is None and (pieces := apart(pasted)):
        for piece in pieces:
            inner = unwrap(piece)
            yield decide(Facts(inner, None, None, after_s, chain, _read_as(inner, None)))
        return
    yield decide(Facts(pasted, only, None, after_s, chain, _read_as(pasted, only)))


def _cut_behind(
    accounts: Sequence[Account], rest: str, after_s: float | None, chain: Sequence[Layer]
) -> Triage | None:
    """What the other lines of a text say that did it, whose log says that what is behind it ended a request.

    A server's own words beside its gateway's log, as one machine's journal has both: the first cut is the cause.
    """
    if not rest or any(account.ended_by is not LogEndedBy.UPSTREAM for account in accounts):
        return None
    inner = unwrap(rest)
    found = decide(Facts(inner, None, None, after_s, chain, _read_as(inner, None)))
    speaks = found.ended_by is EndedBy.LAYER and found.layer not in {None, *(one.layer for one in accounts)}
    return found if speaks and found.grade is Grade.TESTIFIED else None


def _answers(pasted: Unwrapped) -> list[Exchange]:
    """The answers as they were pasted, or with the first quoting off, where only then they have headers."""
    read = [answers_of(level) for level in pasted.levels[:2]]
    told = [answers for answers in read if any(answer.seen.headers for answer in answers)]
    return next(iter(told), None) or next((answers for answers in read if answers), [])


def _read_as(pasted: Unwrapped, exchange: Exchange | None) -> str:
    if exchange is not None:
        return exchange.read_as
    if "traceback (most recent" in pasted.lower or "\n    at " in pasted.text or "\n\tat " in pasted.text:
        return "a traceback"
    return "a JSON body" if pasted.levels[0].lstrip()[:1] in {"{", "["} and pasted.objects else "text"


def _telling(answer: Triage) -> tuple[bool, bool, bool]:
    """Which of several requests comes first: one that is known, then one that a layer cut; else the first."""
    return (answer.cause is not Cause.UNKNOWN, answer.layer is not None, answer.ended_by is EndedBy.LAYER)


def _clean(found: Triage) -> Triage:
    return replace(
        found,
        name=_fit(found.name),
        field=_fit(found.field) if found.field else None,
        bucket=_fit(found.bucket) if found.bucket else None,
        why=tuple(_fit(reason) for reason in found.why),
        section=SECTIONS.get(found.cause),
    )


def _fit(text: str) -> str:
    """Text of the paste, fit to be shown: without secrets, control characters visible, of a bounded length."""
    return visible(redact(text[:_LONGEST]))
