"""What a user tells in words of their own: that a layer cut the request, and after how long.

A sentence names the layer, or only its kind (a proxy, a gateway); a verb of cutting; and a request, a connection
or a stream. Without a time, or an answer of 500 and above, in the same text it tells of no timer: nothing is said.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from whocut.verdict.triage import advice
from whocut.verdict.triage.answer import Triage
from whocut.verdict.triage.coincidence import coincidences, with_chain
from whocut.verdict.triage.endings import Cause, EndedBy, Retry
from whocut.verdict.triage.lexicon import Role, speaking_in
from whocut.verdict.triage.products import title_of
from whocut.verdict.verdict import Grade

if TYPE_CHECKING:
    from whocut.verdict.triage.facts import Facts

_LAYER: Final = (
    r"(?:proxy|gateway|load ?balancer|balancer|front-?end|edge|cdn|ingress|platform|router|nginx|cloudflare|envoy"
    r"|haproxy|traefik|caddy|apache|kong|puma|gunicorn|heroku|vercel|netlify|apim|openresty|istio)"
)
_CUTS: Final = (
    r"(?:cuts?(?: off)?|kills?|killed|closes|closed|stops|stopped|drops?|dropped|terminates?|terminated|aborts?"
    r"|aborted|gave up on|gives up on|severs?|severed|times out|timed out)"
)
_WHAT: Final = r"(?:requests?|connections?|calls?|streams?|responses?|workers?|generations?|it)"
_CUT: Final = re.compile(
    rf"(?i)\b{_LAYER}\b[^\n.:;]{{0,40}}?\b{_CUTS}\b[^\n.:;]{{0,30}}?\b{_WHAT}\b"
    r"|把(?:请求|請求|連線|连接|連接)(?:掐|切断|切斷|断|斷)|(?:请求|连接|連線)被[^\n]{0,12}(?:掐|切断|切斷|中断|中斷)"
)


def tells_of_a_cut(text: str) -> bool:
    """Whether a sentence says that a layer cut a request."""
    return _CUT.search(text) is not None


def a_cut_is_told(facts: Facts) -> Triage | None:
    """A layer that a sentence accuses: by name, if one is named on its line; else only that a layer did."""
    match = _CUT.search(facts.pasted.text)
    took_s = facts.elapsed_s(by_limit=True) or max((one.seconds for one in facts.durations), default=None)
    if match is None or (took_s is None and (facts.code or 0) < 500):
        return None
    start = facts.pasted.text.rfind("\n", 0, match.start()) + 1
    line = facts.pasted.text[start:].partition("\n")[0].lower()
    named = [one.name for one in speaking_in(line) if one.role is Role.LAYER]
    name = named[0] if len(named) == 1 else None
    title = title_of(name) if name else "a layer on the way"
    return with_chain(
        Triage(
            cause=Cause.TIMEOUT_CHAIN,
            name=f"{title} cut it, as the text tells",
            layer=advice.known(name),
            product=title if name else None,
            grade=Grade.INFERRED if name else Grade.UNATTRIBUTED,
            status=facts.code,
            ended_by=EndedBy.LAYER,
            retry=Retry.PAYS_AGAIN,
            do=advice.ENDINGS["timed_out_behind"],
            why=(f"the text tells that {' '.join(match[0].split())}",),
            alternatives=() if name else coincidences(facts),
        ),
        facts,
    )
