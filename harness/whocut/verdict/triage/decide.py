"""From the facts of a text to the answer, by rank: what the text says outranks what it resembles.

The rules stand in `RULES`, read from the top. A refusal by the API's own code is first; then what a layer says in its
log; then its page; then what a client raised, as long as no response had come; then a bare status; and last the words
that say little. How long it took names no layer by itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final

from whocut.chain.retry_after import asked_to_wait_s
from whocut.chain.timers import Phase, TimerKind
from whocut.trace.logs.records import EndedBy as LogEndedBy
from whocut.verdict import inference
from whocut.verdict.fingerprints import Ended, fingerprints
from whocut.verdict.triage import advice
from whocut.verdict.triage.answer import Triage
from whocut.verdict.triage.endings import ENDINGS, NOTHING_SENT, By, Cause, EndedBy, Retry
from whocut.verdict.triage.exchange import headers_in
from whocut.verdict.triage.lexicon import Role, find, said_in, speakers, speaking_in
from whocut.verdict.triage.numbers import (
    Duration,
    How,
    Of,
    Status,
    durations_in,
    elapsed_of,
    statuses_in,
    wait_asked,
)
from whocut.verdict.triage.refusals import error_of, field_of, refused_in, stage_of
from whocut.verdict.verdict import Grade

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from whocut.chain.layers import Layer
    from whocut.trace.logs.records import Account
    from whocut.verdict.inference import Inference, Seen
    from whocut.verdict.triage.exchange import Exchange
    from whocut.verdict.triage.lexicon import Said, Speaker
    from whocut.verdict.triage.refusals import Refused
    from whocut.verdict.triage.unwrap import Unwrapped

# Products that stand around another's answer and pass it on: not the layer, unless they speak of themselves.
_PASSERS_BY: Final = frozenset(
    {"litellm", "new-api", "one-api", "portkey", "helicone", "bifrost", "open-webui", "dify", "cloudflare",
     "cloudflare-ai-gateway", "vercel-ai-gateway", "ngrok", "ngrok-ai-gateway", "fastly", "some-server", "php",
     "aws-lambda", "nextjs-rewrite", "http-proxy-middleware", "gunicorn-sync", "temporal", "trigger-dev"}
)  # fmt: skip
# What is built on what: the innermost name of a family is the product.
_BUILT_ON: Final = {
    "apisix": ("openresty", "nginx"), "kong": ("openresty", "nginx"), "openresty": ("nginx",),
    "tengine": ("nginx",), "ingress-nginx": ("nginx",), "istio": ("envoy",), "envoy-gateway": ("envoy",),
    "envoy-ai-gateway": ("envoy-gateway", "envoy"), "aibrix": ("envoy-gateway", "envoy"),
    "higress": ("istio", "envoy"), "gcp-cloud-run": ("envoy",), "fastly": ("varnish",),
}  # fmt: skip
_BY_STATUS: Final = {
    525: ("the TLS handshake with the origin failed", None, Phase.CONNECT, Retry.SAFE),
    526: ("the origin's certificate is not valid", None, Phase.CONNECT, Retry.USELESS),
    530: ("the origin's name was not resolved, or its tunnel is down", None, Phase.CONNECT, Retry.SAFE),
}
_MONEY, _MODEL = "money", "model"
# Frames of a traceback that tell how far the response had come.
_FRAMES: Final = (
    ("_receive_response_body", Phase.STREAM),
    ("read_body_0", Phase.STREAM),
    ("iter_content", Phase.STREAM),
    ("iter_raw", Phase.STREAM),
    ("_receive_response_headers", Phase.WAIT),
    ("read_status_line", Phase.WAIT),
    ("_read_status", Phase.WAIT),
)
# Names under which nobody knows the program: what stands on them is meant.
_MEANT_BY_NOBODY: Final = frozenset(
    {"os", "any", "httpcore", "python-http", "http-client", "openai-sdk", "node-http"}
)
_IN_BODY: Final = re.compile(r"with ([1-9]\d{0,12})(?: out of [\w-]{1,20})? bytes received")
_TRIES: Final = re.compile(
    r"(?i)(?:retried:? (\d{1,3}) times|failed after (\d{1,3}) (?:attempts|tries|retries)|after (\d{1,3}) (?:attempts|retries)"
    r"|attempt (\d{1,3}) of \d)"
)
_INSIDE_LITELLM: Final = re.compile(r"(?i)litellm\.\w{3,40}: ")


@dataclass(frozen=True)
class Facts:
    """All that one request's text says, each fact read once."""

    pasted: Unwrapped
    exchange: Exchange | None = None
    account: Account | None = None
    after_s: float | None = None
    chain: Sequence[Layer] = ()
    read_as: str = field(default="text")

    @property
    def lower(self) -> str:
        return self.pasted.lower

    @cached_property
    def statuses(self) -> list[Status]:
        found = statuses_in(self.pasted.text)
        own = self.exchange.seen.status if self.exchange else None
        if own is not None and own >= 400:
            found.insert(0, Status(own, How.ANSWERED, 0))
        return found

    @cached_property
    def status(self) -> Status | None:
        """The answer's status; a response that was read whole leaves no doubt."""
        if (
            self.exchange is not None
            and self.exchange.seen.status is not None
            and self.exchange.seen.status < 400
        ):
            return None
        return self.statuses[0] if self.statuses else None

    @property
    def code(self) -> int | None:
        return self.status.code if self.status else None

    @cached_property
    def durations(self) -> list[Duration]:
        return durations_in(self.pasted.text)

    def elapsed_s(self, *, by_limit: bool) -> float | None:
        """How long it took: as told apart, as measured, or by the limit that fired."""
        if self.after_s is not None:
            return self.after_s
        if self.account is not None and self.account.duration_s is not None:
            return round(self.account.duration_s, 3)
        if self.exchange is not None and self.exchange.seen.elapsed_s is not None:
            return self.exchange.seen.elapsed_s
        usable = [one for one in self.durations if by_limit or one.of is not Of.LIMIT]
        return elapsed_of(usable)

    @cached_property
    def said(self) -> list[Said]:
        return said_in(self.lower)

    @cached_property
    def names(self) -> list[Speaker]:
        return speaking_in(self.lower)

    @cached_property
    def refused(self) -> Refused | None:
        return refused_in(self.pasted)

    @cached_property
    def seen(self) -> Seen:
        """What the caller saw of the response."""
        if self.exchange is not None:
            seen = self.exchange.seen
        else:
            seen = inference.Seen(
                status=self.code, headers=headers_in(self.pasted), body=self.pasted.text, whole=False
            )
        return replace(seen, elapsed_s=self.elapsed_s(by_limit=True))

    @cached_property
    def page(self) -> Inference | None:
        """The layer whose page this is, by its body or its headers."""
        found = inference.by_signature(self.seen, self.chain)
        if found is None and self.exchange is not None:
            # A page that was pasted as its visible text, or one with remarks around it.
            quoted = replace(self.seen, whole=False, body=self.exchange.text)
            found = inference.by_signature(quoted, self.chain)
        return found


# --- the rules ----------------------------------------------------------------------------------------------


def _a_log_says(facts: Facts) -> Triage | None:
    account = facts.account
    if account is None:
        return None
    if account.ended_by is LogEndedBy.LAYER:
        name = _log_layer(account)
        title = _title(name)
        never_sent = account.phase in {Phase.CONNECT, Phase.SEND}
        return Triage(
            cause=Cause.CONNECTION if account.phase is Phase.CONNECT else Cause.TIMEOUT_CHAIN,
            name=f"{title}: {account.says}",
            layer=name,
            product=title,
            directive=account.directive,
            timer=account.timer,
            phase=account.phase,
            grade=Grade.TESTIFIED,
            status=account.status,
            ended_by=EndedBy.LAYER,
            retry=Retry.SAFE if never_sent else Retry.PAYS_AGAIN,
            do=advice.against_own_timer(name, title, account.directive, account.timer, EndedBy.LAYER),
            why=(f"its log says {account.signal}", *((account.caveat,) if account.caveat else ())),
        )
    by_caller = account.ended_by is LogEndedBy.CLIENT
    kind = _log_ending(account)
    ending = ENDINGS[kind]
    return Triage(
        cause=ending.cause,
        name=f"{_title(account.layer)}: {account.says}",
        product=_title(account.layer),
        phase=account.phase or ending.phase,
        grade=Grade.TESTIFIED,
        status=account.status,
        ended_by=EndedBy.CLIENT if by_caller else EndedBy.UPSTREAM,
        retry=ending.retry,
        do=advice.ENDINGS[kind],
        why=(f"its log says {account.signal}",),
    )


def _log_layer(account: Account) -> str:
    name = {"alb": "aws-alb"}.get(account.layer, account.layer)
    return "ingress-nginx" if account.product == "ingress-nginx" else name


def _log_ending(account: Account) -> str:
    if account.ended_by is LogEndedBy.CLIENT:
        return "left_stream" if account.phase is Phase.STREAM else "left"
    if account.phase is Phase.CONNECT:
        return "refused"
    if account.phase is Phase.STREAM:
        return "mid"
    if account.status is not None and "answered so" in account.says:
        return "failed"
    return "closed_before"


def _the_api_refused(facts: Facts) -> Triage | None:
    refused = facts.refused
    if refused is None:
        return None
    row, code = refused.row, facts.code
    if not refused.exact and _something_stronger(facts, row.cause):
        return None
    if (
        code is not None
        and code >= 500
        and row.cause not in {Cause.UPSTREAM, Cause.RATE_LIMIT}
        and not refused.exact
    ):
        return None
    if code in _GATEWAYS_OWN and row.cause is not Cause.UPSTREAM:
        return None
    if row.cause is Cause.UPSTREAM and _a_layer_cut(facts):
        return None
    message = str(refused.error.get("message") or "")
    found = Triage(
        cause=row.cause,
        name=row.name,
        grade=Grade.TESTIFIED if refused.exact else Grade.INFERRED,
        status=code,
        ended_by=EndedBy.UPSTREAM,
        retry=row.retry,
        do=row.do,
        do_not=row.do_not,
        why=(f"the API says: {message}",) if message else (f"the wording is an API's: {refused.because}",),
        bucket=row.bucket,
    )
    if row.cause is Cause.MODERATION:
        stage, change = stage_of(refused.error, facts.lower)
        generic = "Change the prompt" in row.do
        return replace(found, stage=stage, do=change if change and generic else row.do)
    if row.cause is Cause.PARAMETER:
        return replace(found, field=field_of(row, refused.error, message or facts.pasted.text))
    if row.cause is Cause.RATE_LIMIT and row.bucket is None:
        return replace(found, bucket=_bucket(facts), retry_after_s=_retry_after_s(facts))
    if row.cause in {Cause.UPSTREAM, Cause.RATE_LIMIT} and row.retry is not Retry.USELESS:
        return replace(found, retry_after_s=_retry_after_s(facts))
    return found


def _something_stronger(facts: Facts, cause: Cause) -> bool:
    """Whether a text that has refusing words somewhere says more plainly that something else ended it."""
    best = _best(facts.said)
    if cause is Cause.UPSTREAM and facts.page is not None:
        return True
    if best is None:
        return False
    return best.tells >= 5 or (best.row.log and best.tells >= 4)


def _a_layer_cut(facts: Facts) -> bool:
    """Whether a layer says in the same text that it ended the request by a timer of its own."""
    if facts.page is not None and facts.page.layer and facts.page.ended is not Ended.UPSTREAM:
        return True
    return any(
        one.speaker.role is Role.LAYER and one.row.ending.by is By.SELF and one.tells >= 4
        for one in facts.said
    )


_GATEWAYS_OWN: Final = frozenset({520, 521, 522, 523, 524, 525, 526, 527, 530})


def _bucket(facts: Facts) -> str | None:
    match = re.search(r"(?i)\bon ([\w-]{1,40} per \w{1,20})|for (images per \w{1,20})", facts.pasted.text)
    return (match[1] or match[2]) if match else None


def _retry_after_s(facts: Facts) -> float | None:
    """The wait that is asked for, by a header or in words."""
    asked_s = asked_to_wait_s(facts.seen.headers)
    return round(asked_s, 3) if asked_s is not None else wait_asked(facts.pasted.text)


def _a_layer_says(facts: Facts) -> Triage | None:
    """A layer's own words: its log, or an answer of its own."""
    rows = [one for one in facts.said if one.speaker.role is Role.LAYER and one.tells >= 2]
    if not rows:
        return None
    best = _best(rows)
    assert best is not None
    its_own = facts.page is not None and facts.page.layer == best.speaker.name and facts.code is None
    if not best.row.log and facts.page is not None and facts.page.ended is not Ended.UPSTREAM and not its_own:
        return None  # the whole page tells more than words of it
    if best.row.log and best.tells < 4 and facts.page is not None:
        return None
    return _from_layer(best, facts)


def _from_layer(best: Said, facts: Facts) -> Triage:
    ending, row, speaker = best.row.ending, best.row, best.speaker
    name = _family(speaker.name, facts)
    title = _title(name)
    ours = ending.by is By.SELF
    library = speaker.name == "litellm" and ours and not _is_proxy(facts)
    ended_by = EndedBy.CLIENT if library else _ended_by(ending.by, Role.LAYER)
    phase = row.phase
    grade = Grade.TESTIFIED if row.log or library else Grade.INFERRED
    directive = row.directive
    if name != speaker.name and ours:
        directive = _knob(name, row.timer) or directive
    return Triage(
        cause=ending.cause,
        name=f"{title}: {ending.says}",
        layer=advice.known(name) if ours or not row.log else None,
        product=title,
        directive=directive if ours else None,
        timer=row.timer if ours else None,
        phase=phase,
        grade=grade,
        status=facts.code or row.status,
        ended_by=ended_by,
        retry=ending.retry,
        do=_do(best, name, title, directive, ended_by),
        why=(f"{title} says: {best.words}", *_tries(facts)),
    )


def _is_proxy(facts: Facts) -> bool:
    return facts.status is not None or "model group" in facts.lower or "litellm proxy" in facts.lower


def _a_page_says(facts: Facts) -> Triage | None:
    found = facts.page
    if found is None or found.layer is None:
        return None
    best = _best([one for one in facts.said if one.speaker.role is Role.CLIENT and one.tells >= 4])
    body = any(reason.startswith("the body") for reason in found.why)
    if best is not None and not body and facts.status is not None and facts.status.how < How.SAID:
        return None
    return _from_inference(found, facts)


def _a_client_raised(facts: Facts) -> Triage | None:
    rows = [one for one in facts.said if one.speaker.role is Role.CLIENT and one.tells >= 2]
    best = _best(rows)
    if best is None:
        return None
    gateway = _gateway_of(best, facts)
    if facts.status is not None and not _outranks(best, facts.status, gateway):
        return None
    return _from_client(best, facts, gateway)


def _outranks(best: Said, status: Status, gateway: Speaker | None) -> bool:
    """Whether a client's words say more than a status in the same text: a status means that an answer came."""
    if gateway is not None and best.tells >= 3:
        return True
    if status.how is How.ANSWERED:
        return False
    if best.row.ending.by is By.UPSTREAM or best.row.kind in NOTHING_SENT:
        return best.tells >= 3
    return best.tells >= 5 or (best.tells >= 4 and status.how is not How.SAID)


def _gateway_of(best: Said, facts: Facts) -> Speaker | None:
    """The gateway that speaks of its own call in a client's words, if one names itself."""
    return next(
        (
            one
            for one in facts.names
            if one.role is Role.LAYER and (best.speaker.name in one.sets or _reaches(one, best.speaker.name))
        ),
        None,
    )


def _from_client(best: Said, facts: Facts, gateway: Speaker | None) -> Triage:
    ending, row = best.row.ending, best.row
    owner, directive = _owner(best, facts)
    if gateway is not None and ending.by is By.SELF:
        owner, directive = gateway, gateway.knobs.get(_watch(row.timer), row.directive)
    witness = _outermost(best, facts) if ending.by is not By.SELF else owner
    title = (
        witness.title
        if best.speaker.out == 0 and best.speaker.name in _MEANT_BY_NOBODY
        else _on(witness, best)
    )
    ours = ending.by is By.SELF
    phase = _phase(best, facts)
    nobody = row.kind in {"abort", "program", "some_timer"} or owner.name in {"os", "any"} or not row.sure
    names_a_layer = ours and not nobody and row.kind not in {"trust"}
    layer = advice.known(_preset_name(owner)) if names_a_layer else None
    ended_by = _ended_by(ending.by, owner.role if ours else Role.CLIENT)
    if row.kind == "os_connect":
        ended_by = EndedBy.CLIENT
    directive = directive if ours and row.kind not in {"abort", "some_timer", "trust"} else None
    retry = Retry.PAYS_AGAIN if ending.retry is Retry.UNKNOWN and phase is Phase.STREAM else ending.retry
    nothing_sent = row.kind in NOTHING_SENT
    grade = (
        Grade.TESTIFIED
        if (ours and row.sure and not (nobody and not directive)) or nothing_sent
        else Grade.UNATTRIBUTED
    )
    return Triage(
        cause=ending.cause,
        name=f"{title}: {ending.says}" if ours and not nobody else ending.says,
        layer=layer,
        product=title if witness.name not in {"os", "any"} else None,
        directive=directive,
        timer=TimerKind.IDLE if phase is Phase.STREAM and row.timer is TimerKind.FIRST_BYTE else row.timer,
        phase=phase,
        grade=grade,
        status=_status(facts, owner),
        ended_by=ended_by,
        retry=retry,
        do=_do(best, _preset_name(owner), title, directive, ended_by),
        why=(f"{best.words}: {ending.says}", *_tries(facts)),
        alternatives=_coincidences(facts) if layer is None and not nothing_sent and not ours else (),
    )


def _status(facts: Facts, owner: Speaker) -> int | None:
    """The answer's status, if the text has one that is neither the speaker's own nor made up by its library."""
    if facts.status is None or facts.status.how is How.OWN:
        return None
    made_up = {code for one in facts.names for code in one.fakes} | owner.fakes
    return None if facts.code in made_up else facts.code


def _outermost(best: Said, facts: Facts) -> Speaker:
    """The program that the words are of: the outermost that names itself and stands on the one that says them."""
    over = [one for one in facts.names if one.role is Role.CLIENT and _reaches(one, best.speaker.name)]
    return max(over, key=lambda one: one.out, default=best.speaker)


def _on(witness: Speaker, best: Said) -> str:
    """A program by name, and what it stands on where the words are of that."""
    inner = best.speaker
    if inner.name == witness.name or inner.name in _MEANT_BY_NOBODY or inner.role is not Role.CLIENT:
        return witness.title
    return f"{witness.title} (on {inner.title})"


def _owner(best: Said, facts: Facts) -> tuple[Speaker, str | None]:
    """Whose knob it is: of the outermost speaker that sets the timers of the one whose words these are."""
    setters = [
        one
        for one in facts.names
        if one.out > best.speaker.out and _reaches(one, best.speaker.name) and one.role is Role.CLIENT
    ]
    if setters and best.row.ending.by is By.SELF and best.row.kind not in {"abort", "program"}:
        owner = max(setters, key=lambda one: one.out)
        knob = owner.knobs.get(_watch(best.row.timer))
        if knob is not None:
            return owner, knob
    knob = best.row.directive or best.speaker.knobs.get(_watch(best.row.timer))
    if best.speaker.name == "openai-sdk":
        for name in ("openai-python", "openai-node"):
            if any(one.name == name for one in facts.names):
                return next(one for one in speakers() if one.name == name), knob
    return best.speaker, knob


def _reaches(one: Speaker, name: str, depth: int = 0) -> bool:
    """Whether a speaker sets the timers of another, also through a third."""
    if name in one.sets:
        return True
    return depth < 4 and any(
        _reaches(inner, name, depth + 1)
        for inner in speakers()
        if inner.name in one.sets and inner.name != one.name
    )


def _watch(timer: TimerKind | None) -> str:
    return str(timer) if timer else ""


def _preset_name(speaker: Speaker) -> str:
    """The preset's name: the SDK of either language has none of its own."""
    return {"httpcore": "httpx", "curl-command": "curl", "openai-sdk": ""}.get(speaker.name, speaker.name)


def _phase(best: Said, facts: Facts) -> Phase | None:
    row = best.row
    if row.ending.phase is Phase.CONNECT:
        return Phase.CONNECT
    if row.ending.by is By.SELF and (match := _IN_BODY.search(facts.pasted.text)):
        return Phase.STREAM if int(match[1]) else Phase.WAIT
    if facts.exchange is not None and facts.exchange.seen.in_body and row.phase is Phase.WAIT:
        return Phase.STREAM
    if row.kind in {"read", "closed", "reset", "some_timer"}:
        return next((phase for words, phase in _FRAMES if find(facts.lower, words) >= 0), row.phase)
    return row.phase


def _a_status_says(facts: Facts) -> Triage | None:
    status = facts.status
    if status is None:
        return None
    code = status.code
    if code in _GATEWAYS_OWN:
        return _by_cloudflare(code, facts)
    if code >= 500 or code in {408, 499, 460}:
        return _by_gateway_status(status, facts)
    if status.how < How.SAID:
        return None
    return _by_client_error(code, facts)


def _by_cloudflare(code: int, facts: Facts) -> Triage | None:
    row = next((row for row in fingerprints() if code in row.status and row.layer == "cloudflare"), None)
    title = _title("cloudflare")
    if row is None:
        says, timer, phase, retry = _BY_STATUS.get(
            code, ("the origin failed", None, Phase.CONNECT, Retry.SAFE)
        )
        return Triage(
            cause=Cause.CONNECTION,
            name=f"{title}: {says}",
            layer="cloudflare",
            product=title,
            timer=timer,
            phase=phase,
            grade=Grade.INFERRED,
            status=code,
            ended_by=EndedBy.LAYER,
            retry=retry,
            do=f"Look at the origin behind Cloudflare: {says}.",
            why=(f"{code} is Cloudflare's own number",),
        )
    found = inference.Inference(
        layer=row.layer,
        title=row.title,
        directive=row.directive,
        timer=row.timer,
        phase=row.phase,
        ended=row.ended,
        why=(f"{code} is Cloudflare's own number",),
    )
    return _from_inference(found, facts)


def _by_gateway_status(status: Status, facts: Facts) -> Triage:
    code = status.code
    if code in {499, 460}:
        return Triage(
            cause=Cause.CALLER_LEFT,
            name="its caller left before the answer",
            phase=Phase.WAIT,
            grade=Grade.TESTIFIED if status.how is not How.WORDS else Grade.INFERRED,
            status=code,
            ended_by=EndedBy.CLIENT,
            retry=Retry.PAYS_AGAIN,
            do=advice.ENDINGS["left"],
            why=(f"{code} is what a gateway logs when its caller goes first",),
        )
    name = _named(facts)
    title = _title(name) if name else "a layer that does not give its name"
    passing = [_title(one.name) for one in facts.names if one.name in _PASSERS_BY and one.name != name]
    why = (
        f"{code} is what {title} answered"
        if name
        else f"a {code} comes from a layer or a server, not from a timer of the client",
    )
    why += tuple(f"{one} only passes it on" for one in dict.fromkeys(passing))
    timed_out = code in {504, 408}
    timer = _first_timer(name) if timed_out and name else None
    ended_by = EndedBy.LAYER if timed_out and not passing else EndedBy.UPSTREAM
    if timed_out and name:
        ended_by = EndedBy.LAYER
    return _with_chain(
        Triage(
            cause=Cause.TIMEOUT_CHAIN if timed_out else Cause.UPSTREAM,
            name=f"{title} gave up waiting ({code})"
            if timed_out
            else f"what stands behind {title} failed ({code})",
            layer=advice.known(name),
            product=title if name else None,
            directive=_directive(name, timer) if timer else None,
            timer=timer,
            phase=Phase.WAIT,
            grade=Grade.INFERRED if name else Grade.UNATTRIBUTED,
            status=code,
            ended_by=ended_by,
            retry=Retry.PAYS_AGAIN if timed_out else Retry.UNKNOWN,
            do=(
                advice.against_own_timer(name, title, _directive(name, timer), timer, EndedBy.LAYER)
                if timed_out and name
                else "Look at the response's headers and body (`curl -sv`): server, via and the page's footer name the layer "
                "that wrote it; say how long it took (--after), and read its log with `whocut attribute`."
            ),
            why=(*why, *_tries(facts)),
            alternatives=_coincidences(facts) if not name else (),
        ),
        facts,
    )


def _named(facts: Facts) -> str | None:
    """The one product that names itself beside a status and does not only pass answers on."""
    names = [one.name for one in facts.names if one.role is Role.LAYER and one.name not in _PASSERS_BY]
    built_on = {base for name in names for base in _BUILT_ON.get(name, ())}
    names = [name for name in names if name not in built_on]
    return names[0] if len(names) == 1 else None


def _family(name: str, facts: Facts) -> str:
    """A product that is built on the speaker, if it names itself: ingress-nginx for nginx' own words."""
    names = [one.name for one in facts.names if name in _BUILT_ON.get(one.name, ())]
    return names[0] if len(names) == 1 else name


def _first_timer(name: str | None) -> TimerKind | None:
    preset = advice.preset_of(name)
    kinds = (TimerKind.FIRST_BYTE, TimerKind.TOTAL, TimerKind.IDLE)
    return next((kind for kind in kinds if preset and kind in preset.timers), None)


def _directive(name: str | None, timer: TimerKind | None) -> str | None:
    entry = advice.limit_of(name, timer)
    return entry.directive if entry else None


def _knob(name: str | None, timer: TimerKind | None) -> str | None:
    """The name of a timer's knob: as the catalogue has it, or as the lexicon does."""
    speaker = next((one for one in speakers() if one.name == name), None)
    return _directive(name, timer) or (speaker.knobs.get(_watch(timer)) if speaker else None)


def _by_client_error(code: int, facts: Facts) -> Triage | None:
    message = str(error_of(facts.pasted).get("message") or "")
    say = (f"the API says: {message}",) if message else (f"a {code} is a refusal",)
    if code == 429:
        found = Triage(
            cause=Cause.RATE_LIMIT,
            name="a rate limit was reached",
            retry=Retry.AFTER_WAIT,
            retry_after_s=_retry_after_s(facts),
            bucket=_bucket(facts),
            do="Wait as long as it says, then send fewer at a time: a semaphore of 3 at the call site.",
            do_not="Do not retry sooner than it says, nor all at once.",
        )
    elif code == 402:
        found = Triage(
            cause=Cause.RATE_LIMIT,
            name="no money left",
            retry=Retry.USELESS,
            bucket=_MONEY,
            do="Add credit, or raise the spend limit of the account.",
        )
    elif code in {400, 401, 403, 404, 405, 413, 415, 422}:
        meant = {401: "Authorization", 404: _MODEL, 413: "image"}.get(code)
        param = error_of(facts.pasted).get("param")
        found = Triage(
            cause=Cause.PARAMETER,
            name="the request is refused",
            retry=Retry.USELESS,
            field=param if isinstance(param, str) and param and not param.isdigit() else meant,
            do="Change or strip what the message names; the minimal call is model, prompt and size.",
        )
    else:
        return None
    return replace(
        found,
        status=code,
        ended_by=EndedBy.UPSTREAM,
        grade=Grade.TESTIFIED if message else Grade.INFERRED,
        why=say,
    )


def _the_api_only_refused(facts: Facts) -> Triage | None:
    """An error object whose only code says that the request was bad."""
    error = error_of(facts.pasted)
    kinds = {str(error.get(key) or "").lower() for key in ("type", "code")}
    if not kinds & {"invalid_request_error", "image_generation_user_error", "bad_request", "badrequesterror"}:
        return None
    if facts.code is not None and facts.code >= 500:
        return None
    param = error.get("param")
    return Triage(
        cause=Cause.PARAMETER,
        name="the request is refused",
        field=param if isinstance(param, str) and param else None,
        grade=Grade.TESTIFIED,
        status=facts.code,
        ended_by=EndedBy.UPSTREAM,
        retry=Retry.USELESS,
        do="Change or strip what the message names; the minimal call is model, prompt and size.",
        why=(f"the API says: {error.get('message') or ', '.join(sorted(kinds))}",),
    )


def _little_is_said(facts: Facts) -> Triage | None:
    best = _best(facts.said)
    if best is None:
        return None
    ending = best.row.ending
    cause = ending.cause
    timed = cause is Cause.TIMEOUT_CHAIN
    return _with_chain(
        Triage(
            cause=cause,
            name=ending.says,
            product=None,
            phase=ending.phase if best.row.kind in NOTHING_SENT or best.row.kind == "mid" else None,
            grade=Grade.UNATTRIBUTED,
            status=facts.code if facts.status and facts.status.how is not How.OWN else None,
            ended_by=EndedBy.CLIENT if timed and ending.by is By.SELF else EndedBy.UNKNOWN,
            retry=ending.retry if not timed or ending.by is By.SELF else Retry.UNKNOWN,
            do=advice.ENDINGS.get(best.row.kind, advice.ENDINGS["opaque"]),
            why=(f"{best.words}: {ending.says}",),
            alternatives=_coincidences(facts),
        ),
        facts,
    )


def _a_chain_has_the_limit(facts: Facts) -> Triage | None:
    """Only a chain that was given turns a duration into a layer."""
    if not facts.chain or facts.elapsed_s(by_limit=True) is None:
        return None
    found = _with_chain(
        Triage(
            cause=Cause.TIMEOUT_CHAIN,
            name="the time it took is a limit of the chain that was given",
            retry=Retry.PAYS_AGAIN,
        ),
        facts,
    )
    return found if found.layer else None


def _nothing_is_known(facts: Facts) -> Triage | None:
    return Triage(
        cause=Cause.UNKNOWN,
        name="not recognised",
        status=facts.code if facts.status and facts.status.how is How.ANSWERED else None,
        do="Paste what decides it: the response's status, headers and body (`curl -sv`), or the whole traceback with its "
        "causes, or the gateway's log line of that instant; say how long it took (--after). If it stays unknown, "
        "`whocut triage --redacted` prints the text without keys, hosts and addresses, fit for an issue.",
        do_not="Do not retry before it is known whether the first request did its work.",
        alternatives=_coincidences(facts),
    )


RULES: Final[tuple[Callable[[Facts], Triage | None], ...]] = (
    _a_log_says,
    _the_api_refused,
    _a_layer_says,
    _a_page_says,
    _a_client_raised,
    _a_status_says,
    _the_api_only_refused,
    _little_is_said,
    _a_chain_has_the_limit,
    _nothing_is_known,
)


def decide(facts: Facts) -> Triage:
    """The first rule that applies."""
    for rule in RULES:
        found = rule(facts)
        if found is not None:
            return _completed(found, facts)
    raise AssertionError("the last rule applies always")


def _completed(found: Triage, facts: Facts) -> Triage:
    by_limit = found.cause is Cause.TIMEOUT_CHAIN
    return replace(
        found,
        elapsed_s=facts.elapsed_s(by_limit=by_limit),
        do_not=found.do_not or advice.DO_NOT[found.retry],
        read_as=facts.read_as,
    )


# --- the details --------------------------------------------------------------------------------------------


def _best(said: Sequence[Said]) -> Said | None:
    """What says most: the more telling ending, a layer's own words, then the one further out, then the first."""
    return max(
        said,
        key=lambda one: (one.tells, one.row.log, one.row.directive is not None, one.speaker.out, -one.at),
        default=None,
    )


def _ended_by(by: By, role: Role) -> EndedBy:
    own = EndedBy.CLIENT if role is Role.CLIENT else EndedBy.LAYER
    return {By.SELF: own, By.UPSTREAM: EndedBy.UPSTREAM, By.CALLER: EndedBy.CLIENT}.get(by, EndedBy.UNKNOWN)


def _do(best: Said, name: str, title: str, directive: str | None, ended_by: EndedBy) -> str:
    row = best.row
    if row.ending.by is By.SELF and row.kind not in advice.ENDINGS:
        return advice.against_own_timer(name, title, directive, row.timer, ended_by)
    return advice.ENDINGS.get(row.kind, advice.ENDINGS["opaque"])


def _title(name: str | None) -> str:
    preset = advice.preset_of(name)
    if preset is not None:
        return preset.title
    return next((one.title for one in speakers() if one.name == name), name or "")


def _tries(facts: Facts) -> tuple[str, ...]:
    match = _TRIES.search(facts.pasted.text)
    if match is None:
        return ()
    number = next(int(group) for group in match.groups() if group)
    return (
        (f"the text speaks of {number} tries or retries: each was a generation of its own",) if number else ()
    )


def _from_inference(found: Inference, facts: Facts) -> Triage:
    by_upstream = found.ended is Ended.UPSTREAM
    name = _family(found.layer or "", facts) if not facts.chain else found.layer
    directive = found.directive or None
    if name != found.layer:
        directive = _knob(name, found.timer) or directive
    title = found.title or "" if name == found.layer else _title(name)
    connecting = found.timer is TimerKind.CONNECT or found.phase is Phase.CONNECT
    unsure = any(one.startswith("whatever stands behind") for one in found.alternatives)
    why = found.why if found.verified else (*found.why, "this page is known from memory: unverified")
    if by_upstream:
        do = f"Look into the log of what stands behind {title}: it closed the connection, or refused it, first."
    elif found.ended is Ended.CALLER:
        do = f"The request came in too slowly for {found.directive} of {title}: send a smaller upload, or raise it."
    else:
        do = advice.against_own_timer(name, title, directive, found.timer, EndedBy.LAYER)
    if unsure:
        do = f"Look into {title}'s error log: it says whether its own timer fired or what stands behind it closed. {do}"
    retry = Retry.SAFE if connecting else Retry.UNKNOWN if by_upstream or unsure else Retry.PAYS_AGAIN
    if found.ended is Ended.CALLER:
        retry = Retry.SAFE
    return Triage(
        cause=(Cause.CONNECTION if connecting else Cause.UPSTREAM if by_upstream else Cause.TIMEOUT_CHAIN),
        name=f"what stands behind {title} ended it" if by_upstream else f"{title} gave up",
        layer=found.layer if facts.chain else advice.known(name),
        product=title,
        directive=directive,
        timer=found.timer,
        phase=found.phase,
        grade=found.grade,
        status=facts.code,
        ended_by=(
            EndedBy.UPSTREAM
            if by_upstream
            else EndedBy.CLIENT
            if found.ended is Ended.CALLER
            else EndedBy.UNKNOWN
            if unsure
            else EndedBy.LAYER
        ),
        retry=retry,
        do=do,
        why=why,
        alternatives=found.alternatives,
    )


def _with_chain(found: Triage, facts: Facts) -> Triage:
    """The same, with the layer of a given chain whose limit the time is, if that layer can end it in this way."""
    if found.layer is not None or not facts.chain:
        return found
    inferred = inference.by_limits(facts.seen, facts.chain)
    if inferred is None or inferred.layer is None:
        more = inferred.alternatives if inferred else ()
        return replace(found, alternatives=more or found.alternatives)
    layer = next(one for one in facts.chain if one.name == inferred.layer)
    if not _can(layer, inferred.timer, facts.code):
        return found
    return replace(
        found,
        layer=inferred.layer,
        product=inferred.title,
        directive=inferred.directive or None,
        timer=inferred.timer,
        phase=inferred.phase or found.phase,
        grade=Grade.INFERRED,
        ended_by=EndedBy.LAYER,
        do=advice.against_own_timer(
            layer.preset, layer.title, inferred.directive or None, inferred.timer, EndedBy.LAYER
        ),
        why=(*found.why, *inferred.why),
        alternatives=inferred.alternatives,
    )


def _can(layer: Layer, timer: TimerKind | None, status: int | None) -> bool:
    """Whether this timer of a layer can give this status."""
    if status is None or timer is None:
        return True
    answer = layer.answers.get(timer) or layer.answers.get("expiry")
    return answer is None or answer.status == status


def _coincidences(facts: Facts) -> tuple[str, ...]:
    """Layers one of whose default limits is the time it took: told, and not accused."""
    if facts.chain:
        return ()
    seen = replace(facts.seen, body=None, headers={}, status=facts.code)
    found = inference.infer(seen)
    if found is None:
        return ()
    return found.alternatives or ((found.title,) if found.title else ())


__all__ = ["Facts", "decide", "find"]
