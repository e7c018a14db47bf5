"""Products by name: which is built on which, which only pass an answer on, and how their knobs are called."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from whocut.chain.timers import TimerKind
from whocut.verdict.triage import advice
from whocut.verdict.triage.lexicon import Role, find, speakers

if TYPE_CHECKING:
    from whocut.verdict.triage.facts import Facts
    from whocut.verdict.triage.lexicon import Speaker

# Products that are around another's answer and pass it on: not the layer, unless they speak of themselves.
PASSERS_BY: Final = frozenset(
    {"litellm", "new-api", "one-api", "sub2api", "gitlab-ai-gateway", "portkey", "helicone", "bifrost",
     "open-webui", "dify", "cloudflare", "cloudflare-ai-gateway", "vercel-ai-gateway", "ngrok", "ngrok-ai-gateway",
     "fastly", "some-server", "php", "aws-lambda", "nextjs-rewrite", "http-proxy-middleware", "gunicorn-sync",
     "temporal", "trigger-dev", "some-gateway", "replicate-platform",
     "job-platform", "modal"}
)  # fmt: skip
# What is built on what: the innermost name of a family is the product.
BUILT_ON: Final = {
    "apisix": ("openresty", "nginx"), "kong": ("openresty", "nginx"), "openresty": ("nginx",),
    "tengine": ("nginx",), "ingress-nginx": ("nginx",), "istio": ("envoy",), "envoy-gateway": ("envoy",),
    "envoy-ai-gateway": ("envoy-gateway", "envoy"), "aibrix": ("envoy-gateway", "envoy"),
    "higress": ("istio", "envoy"), "gcp-cloud-run": ("envoy",), "aws-app-runner": ("envoy",),
    "gcp-api-gateway": ("envoy",), "fastly": ("varnish",),
}  # fmt: skip
# Names under which the program is not known: the product that is built on it is meant.
MEANT_BY_NOBODY: Final = frozenset(
    {"os", "any", "httpcore", "python-http", "http-client", "openai-sdk", "node-http"}
)


def title_of(name: str | None) -> str:
    """A product's name for people."""
    preset = advice.preset_of(name)
    if preset is not None:
        return preset.title
    return next((one.title for one in speakers() if one.name == name), name or "")


# Words by which a text excuses a layer: it was set higher, or has nothing in its log.
_EXCUSED: Final = re.compile(
    r"(?i)already (?:set|raised|increased)|(?:set|raised|increased) (?:it|them|all)? ?(?:much )?(?:to a )?higher"
    r"|(?:higher|larger|longer|bigger|greater) time-?outs?|no effect|does(?:n't| not) help|did(?:n't| not) help"
    r"|is not the (?:cause|problem|issue)|no (?:logs?|errors?|trace) (?:on|in|at|of)"
    r"|更大的超时|不起作用|没有效果|没用|无效"
)


def _excused(speaker: Speaker, facts: Facts) -> bool:
    """Whether each line that names a layer excuses it."""
    lines = [line for line in facts.lower.split("\n") if any(find(line, mark) >= 0 for mark in speaker.marks)]
    return bool(lines) and all(_EXCUSED.search(line) for line in lines)


def named_in(facts: Facts) -> str | None:
    """The one product that names itself beside a status and does not only pass answers on."""
    names = [
        one.name
        for one in facts.names
        if one.role is Role.LAYER and one.name not in PASSERS_BY and not _excused(one, facts)
    ]
    built_on = {base for name in names for base in BUILT_ON.get(name, ())}
    names = [name for name in names if name not in built_on]
    return names[0] if len(names) == 1 else None


def family_of(name: str, facts: Facts) -> str:
    """A product that is built on the speaker, if it names itself: ingress-nginx for nginx' own words."""
    names = [one.name for one in facts.names if name in BUILT_ON.get(one.name, ())]
    return names[0] if len(names) == 1 else name


def first_timer_of(name: str | None) -> TimerKind | None:
    """The timer of a layer that a slow answer meets first."""
    preset = advice.preset_of(name)
    kinds = (TimerKind.FIRST_BYTE, TimerKind.TOTAL, TimerKind.IDLE)
    return next((kind for kind in kinds if preset and kind in preset.timers), None)


def directive_of(name: str | None, timer: TimerKind | None) -> str | None:
    """A timer's knob as the catalogue calls it."""
    entry = advice.limit_of(name, timer)
    return entry.directive if entry else None


def knob_of(name: str | None, timer: TimerKind | None) -> str | None:
    """The name of a timer's knob: as the catalogue has it, or as the lexicon does."""
    speaker = next((one for one in speakers() if one.name == name), None)
    return directive_of(name, timer) or (speaker.knobs.get(watch(timer)) if speaker else None)


def watch(timer: TimerKind | None) -> str:
    """A timer as the key under which the lexicon has its knob."""
    return str(timer) if timer else ""
