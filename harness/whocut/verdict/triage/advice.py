"""What to do and what not to do, in words that this user can follow.

A limit that its vendor fixes is never to be raised, a stream is not offered against a timer that counts the body, and
what is said never doubles the bill.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from whocut.chain.catalogue import catalogue
from whocut.chain.durations import format_duration
from whocut.chain.timers import TimerKind
from whocut.verdict.triage.endings import EndedBy, Retry

if TYPE_CHECKING:
    from whocut.chain.catalogue import PresetEntry, TimerEntry

_JOB: Final = "hand out a job id and let the client poll"
_STREAM: Final = "stream with partial images"
_SLOWEST: Final = "above the slowest generation (280 s)"
# Knobs that no user of the layer may turn, where the catalogue has no bound to say so.
_FIXED: Final = frozenset(
    {"cloudflare", "heroku", "azure-app-service", "azure-static-web-apps", "supabase-edge", "netlify-functions",
     "netlify-edge", "vercel-edge", "vercel-rewrite", "netlify-rewrite", "zapier", "power-automate", "apps-script",
     "browser", "aws-apigw-http"}
)  # fmt: skip

DO_NOT: Final = {
    Retry.PAYS_AGAIN: "Do not retry: the generation behind it most likely runs on and is billed, and a second one costs again.",
    Retry.SAFE: "Do not raise a read timeout: nothing was sent, and nothing was waited for.",
    Retry.USELESS: "Do not retry: the same request ends the same way each time.",
    Retry.AFTER_WAIT: "Do not retry sooner, nor all at once.",
    Retry.UNKNOWN: "Do not retry before it is known whether the first request did its work: it may be billed already.",
}
ENDINGS: Final = {
    "connect": "See whether the address is reachable from there: route, firewall, proxy. The connection was never made.",
    "os_connect": "See whether the address is reachable from there: route, firewall, proxy, port. Nothing was sent.",
    "pool": "Let more connections be open at once, or send fewer requests at a time: none of the pool became free.",
    "refused": "See whether the address and the port are right, and whether the server runs.",
    "dns": "Correct the name in base_url, or the DNS of the place where the program runs: the name was not found.",
    "dns_later": "See to the resolver of the place where the program runs (a container's network, most often), and try again.",
    "route": "See to the network: there is no route to that address from there.",
    "trust": "Give the client the CA bundle that signed the certificate (a company's proxy, most often), or correct the name.",
    "tls": "See whether the port speaks TLS at all, and whether both sides share a version of it.",
    "proxy": "See to the forward proxy: HTTPS_PROXY, its login, and whether it lets this host through.",
    "no_connection": "Print the innermost cause (`e.__cause__`, `err.cause`, `{:?}`): it says why no connection came about.",
    "abort": "Look for what aborts in the program itself: abort(), a cancelled task, a closed tab, a timeout of its own.",
    "some_timer": "Print the whole traceback, causes included: it names the library whose timer fired, and its knob.",
    "left": "Look in front: the timers of what called, a balancer's or the client's own. This one's are not to blame.",
    "left_stream": "Look in front: the timers of what called, a balancer's or the client's own. This one's are not to blame.",
    "closed_before": "Read the log of what the request was sent to, at that instant: it closed before it answered.",
    "closed": "Read the log of what the request was sent to, at that instant: it closed the connection.",
    "reset": "Read the log of what the request was sent to: a killed process, a restart, or a layer that resets idle connections.",
    "mid": "Read the logs of the layers on the way, from the model outward: the first that gave up in mid-response cut it.",
    "h2": "Read the log of the other side, or of its edge: it reset the stream.",
    "failed": "Look into the log of what stands behind it: that failed first.",
    "browser": "Look into the browser's network tab: the status and the server header of the failed request, or none at all.",
    "browser_timeout": "Look into the browser's network tab for how long it waited, and let the page poll a job instead.",
    "not_json": "Print the status and the text of the response before it is parsed: the page names the layer that wrote it.",
    "short_json": "Print the status and the length of the response: an empty body, or one that was cut.",
    "opaque": "Print what stands behind it: `repr(e.__cause__)` in Python, `err.cause` in Node, `{:?}` in Rust, `curl -v` for the same request.",
}


def preset_of(name: str | None) -> PresetEntry | None:
    """The catalogue's entry of that name, if it has one."""
    return catalogue().get(name) if name else None


def known(name: str | None) -> str | None:
    """The name, if the catalogue knows it."""
    return name if preset_of(name) else None


def limit_of(name: str | None, timer: TimerKind | None) -> TimerEntry | None:
    """The catalogue's entry of one timer of a layer."""
    preset = preset_of(name)
    return preset.timers.get(timer) if preset and timer else None


def against_own_timer(
    name: str | None, title: str, directive: str | None, timer: TimerKind | None, ended_by: EndedBy
) -> str:
    """What to do where a timer of a layer or of the client fired."""
    entry = limit_of(name, timer)
    instead = _JOB if timer is TimerKind.TOTAL else f"{_STREAM}, or {_JOB}"
    beside = " Streaming does not help: this timer counts the body too." if timer is TimerKind.TOTAL else ""
    if timer is TimerKind.CONNECT:
        return f"{title} could not reach what stands behind it: see whether that runs, and its firewall."
    if fixed(name, timer):
        limit = f" ({format_duration(entry.limit)})" if entry and entry.limit else ""
        round_it = "" if ended_by is EndedBy.CLIENT else f", or take a way round {title}"
        lift = " Only an Enterprise plan has a higher one." if name and name.startswith("cloudflare") else ""
        return (
            f"{_first_upper(instead)}{round_it}: {title} lets nobody raise this limit{limit}.{lift}{beside}"
        )
    most_s = _most_s(name, timer)
    bound = f" ({format_duration(most_s)} at most, as the plan allows)" if most_s else ""
    again = _no_retry(name)
    knob = f"{directive} of {title}" if directive else f"the timeout of {title}"
    return f"Raise {knob} {_SLOWEST}{bound}, or {instead}.{beside}{again}"


def fixed(name: str | None, timer: TimerKind | None) -> bool:
    """Whether no user of a layer can raise this limit."""
    if name in _FIXED:
        return True
    entry = limit_of(name, timer)
    most_s = _most_s(name, timer)
    return bool(entry and entry.limit and most_s is not None and most_s <= entry.limit)


def _most_s(name: str | None, timer: TimerKind | None) -> float | None:
    """The highest limit that any plan of a layer allows; None where there is no bound."""
    preset, entry = preset_of(name), limit_of(name, timer)
    if preset is None or entry is None or timer is None:
        return None
    plans = [entry, *(plan[timer] for plan in preset.variants.values() if timer in plan)]
    if any(plan.most is None for plan in plans):
        return None
    return max(plan.most or 0.0 for plan in plans)


def _no_retry(name: str | None) -> str:
    preset = preset_of(name)
    if preset is None or not preset.retries.on_timeout or not preset.no_retry:
        return ""
    return f" Set {preset.no_retry}, too: each of its tries is a generation of its own."


def _first_upper(text: str) -> str:
    return text[:1].upper() + text[1:]
