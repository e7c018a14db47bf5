"""What to do and what not to do, in words that this user can follow.

A limit that its vendor fixes is never to be raised. A stream is not offered against a timer that counts the body.
No advice doubles the bill.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from whocut.chain.catalogue import find_entry
from whocut.chain.timers import TimerKind
from whocut.tables import table
from whocut.verdict.triage.endings import EndedBy, Retry
from whocut.words import format_duration

if TYPE_CHECKING:
    from whocut.chain.preset_file import PresetEntry, TimerEntry

_JOB: Final = "hand out a job id and let the client poll"
_STREAM: Final = "stream with partial images"
_SLOWEST: Final = "above the slowest generation (280 s)"
# Knobs that no user of the layer may turn, where the catalogue has no bound to say so.
_FIXED: Final = frozenset(
    {"cloudflare", "heroku", "azure-app-service", "azure-static-web-apps", "supabase-edge", "netlify-functions",
     "netlify-edge", "vercel-edge", "vercel-rewrite", "netlify-rewrite", "zapier", "power-automate", "apps-script",
     "browser", "aws-apigw-http"}
)  # fmt: skip

_TEXTS: Final[dict[str, dict[str, str]]] = table(Path(__file__).parent / "words" / "advice.yaml")
ENDINGS: Final = _TEXTS["do"]
DO_NOT: Final = {Retry(name): text for name, text in _TEXTS["do_not"].items()}


def preset_of(name: str | None) -> PresetEntry | None:
    """The catalogue's entry of that name, if it has one."""
    return find_entry(name) if name else None


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
        return f"{title} could not reach what is behind it: see whether that runs, and its firewall."
    if fixed(name, timer):
        limit = f" ({format_duration(entry.limit)})" if entry and entry.limit else ""
        round_it = "" if ended_by is EndedBy.CLIENT else f", or take a way round {title}"
        lift = " Only an Enterprise plan has a higher one." if name and name.startswith("cloudflare") else ""
        return f"{_first_upper(instead)}{round_it}: {title} does not let this limit{limit} be raised.{lift}{beside}"
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
