"""What a line of a layer's own log says, read as `attribute` reads it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from whocut.chain.timers import Phase
from whocut.trace.logs.records import EndedBy as LogEndedBy
from whocut.verdict.triage import advice
from whocut.verdict.triage.answer import Triage
from whocut.verdict.triage.endings import ENDINGS, Cause, EndedBy, Retry
from whocut.verdict.triage.products import family_of, knob_of, title_of
from whocut.verdict.verdict import Grade

if TYPE_CHECKING:
    from whocut.trace.logs.records import Account
    from whocut.verdict.triage.facts import Facts

_TIMED_OUT: Final = frozenset({408, 504, 524})  # a timer behind it fired: the answer says so
_NO_UPSTREAM: Final = re.compile(r"\"upstream_host\": ?(?:\"-?\"|null)")
_INGRESS: Final = "ingress-nginx"  # nginx in its pod's name, or in its own columns


def a_log_says(facts: Facts) -> Triage | None:
    """The account of one line, or of the lines of one request."""
    account = facts.account
    if account is None:
        return None
    if account.ended_by is LogEndedBy.LAYER:
        name = family_of(_log_layer(account, facts), facts)
        title = title_of(name)
        of_family = knob_of(name, account.timer) if name != account.layer else None
        directive = of_family or account.directive
        never_sent = account.phase in {Phase.CONNECT, Phase.SEND} or _names_no_upstream(account, facts)
        return Triage(
            cause=Cause.CONNECTION if account.phase is Phase.CONNECT else Cause.TIMEOUT_CHAIN,
            name=f"{title}: {account.says}",
            layer=name,
            product=title,
            directive=directive,
            timer=account.timer,
            phase=account.phase,
            grade=Grade.TESTIFIED,
            status=account.status or _answer_beside(account, facts),
            ended_by=EndedBy.LAYER,
            retry=Retry.SAFE if never_sent else Retry.PAYS_AGAIN,
            do=advice.against_own_timer(name, title, directive, account.timer, EndedBy.LAYER),
            why=(f"its log says {account.signal}", *((account.caveat,) if account.caveat else ())),
        )
    if account.ended_by is LogEndedBy.UNSAID:
        return _failed_unsaid(account)
    by_caller = account.ended_by is LogEndedBy.CLIENT
    kind = _log_ending(account)
    ending = ENDINGS[kind]
    title = title_of(account.product or account.layer)
    return Triage(
        cause=ending.cause,
        name=f"{title}: {account.says}",
        product=title,
        phase=account.phase or ending.phase,
        grade=Grade.TESTIFIED,
        status=account.status,
        ended_by=EndedBy.CLIENT if by_caller else EndedBy.UPSTREAM,
        retry=ending.retry,
        do=advice.ENDINGS[kind],
        why=(f"its log says {account.signal}",),
    )


def _answer_beside(account: Account, facts: Facts) -> int | None:
    """The status that the text gives beside a line without one: of a cut before the response, and the only one."""
    codes = {status.code for status in facts.statuses}
    return (
        next(iter(codes))
        if account.phase is not Phase.STREAM and len(codes) == 1 and min(codes) >= 500
        else None
    )


def _names_no_upstream(account: Account, facts: Facts) -> bool:
    """Whether an Envoy line says that no upstream had been chosen yet: then nothing was sent to one."""
    number = (account.place or "").removeprefix("line ")
    lines = facts.pasted.lines
    if account.layer != "envoy" or not number.isdigit() or not 0 < int(number) <= len(lines):
        return False
    return any(_NO_UPSTREAM.search(form) for form in lines[int(number) - 1])


def _failed_unsaid(account: Account) -> Triage:
    """An answer of 500 or above in a log that does not say whose it is."""
    timed_out = account.status in _TIMED_OUT
    title = title_of(account.product or account.layer)
    return Triage(
        cause=Cause.TIMEOUT_CHAIN if timed_out else Cause.UPSTREAM,
        name=f"{title}: {account.says}",
        product=title,
        phase=account.phase,
        grade=Grade.UNATTRIBUTED,
        status=account.status,
        retry=Retry.PAYS_AGAIN if timed_out else Retry.UNKNOWN,
        do=advice.ENDINGS["timed_out_behind" if timed_out else "failed"],
        why=(f"its log says {account.signal}",),
    )


def _log_layer(account: Account, facts: Facts) -> str:
    name = {"alb": "aws-alb"}.get(account.layer, account.layer)
    by_its_pod = name == "nginx" and _INGRESS in facts.pasted.levels[0].lower()
    return account.product or (_INGRESS if by_its_pod else name)


def _log_ending(account: Account) -> str:
    if account.ended_by is LogEndedBy.CLIENT:
        return "left_stream" if account.phase is Phase.STREAM else "left"
    if account.phase is Phase.CONNECT:
        return "none_ready" if (account.signal or "").startswith("no live") else "refused"
    if account.phase is Phase.STREAM:
        return "mid"
    if account.status is not None and "answered so" in account.says:
        return "timed_out_behind" if account.status in _TIMED_OUT else "failed"
    return "closed_before"
