"""What a user may set, in a file or in code: one tree, every name checked, nothing guessed.

`None` is "no limit" or "not set"; zero is refused where it would mean either. Durations are model seconds.
"""

import re
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from whocut_mock import faults

_USER_INFO = re.compile(r"(://)[^/@]*@")

Fraction = Annotated[float, Field(ge=0, le=1)]


class Part(BaseModel):
    """A branch of the tree: immutable, and strict about names."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class LatencyRow(Part):
    """How long a generation takes that matches; what is not named matches anything. The first match wins."""

    name: str | None = None
    model: str | None = None
    size: str | None = None
    quality: str | None = None
    references: Annotated[int, Field(ge=0)] | None = None
    fidelity: Literal["low", "high"] | None = None
    constant_s: PositiveFloat | None = None
    median_s: PositiveFloat | None = None
    p95_s: PositiveFloat | None = None
    csv: str | None = None

    @model_validator(mode="after")
    def _one_law(self) -> Self:
        laws = [law for law in ("constant_s", "median_s", "csv") if getattr(self, law) is not None]
        if len(laws) != 1:
            raise ValueError(
                "a latency row has exactly one of constant_s, median_s (with or without p95_s) and csv"
            )
        if self.p95_s is not None and (self.median_s is None or self.p95_s <= self.median_s):
            raise ValueError("p95_s belongs to a median_s below it")
        return self


class Latency(Part):
    """How long generations take, and when their partial images come."""

    constant_s: PositiveFloat | None = None  # every generation takes exactly this long
    rows: tuple[LatencyRow, ...] = ()  # asked before the article's own
    partials: Literal["article", "observed-2026"] = "article"
    first_partial_s: tuple[PositiveFloat, PositiveFloat] = (5.0, 15.0)  # the article: "5-15 s"
    final_preempts: Fraction = 0.0  # how often the final image comes before all partial images were sent
    slower_per_running: Annotated[float, Field(ge=0)] = 0.0  # 0.05: each other running generation adds 5 %


class Moderation(Part):
    """The two filters, and what they cost."""

    rules: str | None = None  # a file of the user's own; None: the shipped rules
    input_s: tuple[PositiveFloat, PositiveFloat] = (0.5, 2.0)  # ours: the reference says only "fast"
    bill_output_blocks: bool = True  # the work is done by then; whether the real API bills it is unverified


KeyState = Literal[
    "verified",
    "unverified",
    "country",
    "locked",
    "session_expired",
    "propagating",
    "revoked",
    "no_model_access",
]


class Key(Part):
    """What is known of one API key."""

    state: KeyState = "verified"
    since_s: float = 0.0  # model time at which it came into this state
    budget_usd: Annotated[float, Field(ge=0)] | None = None


class Ramp(Part):
    """How quickly requests may come before `slow_down`: a burst, and what refills it."""

    burst: PositiveInt
    per_s: PositiveFloat


class Quota(Part):
    """What is let in; everything is unlimited until it is named."""

    tier: Literal["free", "1", "2", "3", "4", "5"] | None = None
    images_per_min: Annotated[int, Field(ge=0)] | None = None  # in place of the tier's
    tokens_per_min: Annotated[int, Field(ge=0)] | None = None
    images_per_reference: Annotated[float, Field(ge=0)] = (
        1.0  # "edits with 2-3 reference images consume more"
    )
    concurrency: Literal["article"] | PositiveInt | None = None
    ramp: Ramp | None = None
    overloaded_at: PositiveInt | None = None  # so many running generations, then 503
    overloaded_retry_s: PositiveFloat = 5.0
    per: Literal["organization", "key"] = "organization"
    exhausted_code: Literal[
        "insufficient_quota",
        "credit_balance_exhausted",
        "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
    ] = "insufficient_quota"
    headers_on_success: bool = False  # whether real 200s of images carry x-ratelimit headers is unverified
    # redis://127.0.0.1:6379/0 shares the buckets between processes; a $NAME in it is read from the environment
    redis: str | None = None
    redis_prefix: Annotated[str, Field(min_length=1)] = "whocut:"  # an empty one would own the whole Redis

    # Whose seconds fill the shared buckets: of this machine, which its processes share, or since an origin that
    # all mocks were given, wherever they are
    redis_time: Literal["machine", "run"] = "machine"

    @field_validator("redis")
    @classmethod
    def _a_redis(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(("redis://", "rediss://", "unix://", "$")):
            raise ValueError("the address of a Redis begins with redis://, rediss:// or unix://")
        return url


class When(Part):
    """Which requests a fault may strike; what is not named matches anything."""

    endpoint: str | None = None
    model: str | None = None
    stream: bool | None = None
    attempt: PositiveInt | None = None
    prompt: str | None = None  # a part of the prompt


class FaultRule(Part):
    """One fault, as often as its rate says, among the requests it is about. The first that strikes wins."""

    fault: str  # its name, or `name=number`
    rate: Fraction = 1.0
    when: When = When()

    @field_validator("fault")
    @classmethod
    def _known(cls, text: str) -> str:
        faults.named(text)
        return text


# Ours, after the article's words: a path between neighbours, and "a few hundred milliseconds of latency plus
# periodic packet loss" between Asia-Pacific and the US East, where "any one of those hiccups kills the whole
# generation". Round trips in seconds, loss by segment.
NETWORK_PRESETS: dict[str, dict[str, float]] = {
    "near": {"rtt_s": 0.02, "jitter_s": 0.002},
    "trans-pacific": {"rtt_s": 0.22, "jitter_s": 0.06, "loss": 0.01, "hiccups_per_min": 0.1},
}


class Network(Part):
    """The path in front of the mock; a figure of one's own goes before the preset's."""

    preset: Literal["near", "trans-pacific"] | None = None
    rtt_s: Annotated[float, Field(ge=0)] | None = None
    jitter_s: Annotated[float, Field(ge=0)] | None = None
    loss: Annotated[float, Field(ge=0, lt=1)] | None = None
    hiccups_per_min: Annotated[float, Field(ge=0)] | None = None


Range_s = tuple[PositiveFloat, PositiveFloat]


class Jobs(Part):
    """Requests in several parts: how long they wait, how long results are kept, who pays for a cancelled one."""

    queue_s: Range_s = (0.2, 1.0)  # ours: a background response was recorded as queued for under a second
    kept_s: PositiveFloat = 600.0  # "about 10 minutes"; from the end of the work on is ours
    bill_cancelled: bool = True  # Replicate charges a run that is cancelled; of the others it is unverified
    callbacks: Literal["loopback", "anywhere"] = "loopback"  # where a callback may be sent to
    callback_twice: Fraction = 0.0  # how often a callback that was accepted comes once more: "at least once"
    callback_forged: Fraction = (
        0.0  # how often a stranger's callback, with a wrong signature, comes before the real
    )
    callback_timeout_s: PositiveFloat = 15.0  # fal's; Standard Webhooks names 15 to 30 s
    window_price: Fraction = 0.5  # ours: a long completion window is "discounted", no source says by how much
    poll_after_s: PositiveFloat | None = (
        None  # sent as openai-poll-after-ms; whether responses do is unverified
    )
    batch_waits_s: Range_s = (60.0, 3_600.0)  # ours: a batch's first line waits so long for its turn
    batch_at_once: PositiveInt = 20  # ours: so many of its lines are worked on at once


class Stream(Part):
    """How a stream is framed beyond the published events."""

    done_marker: bool = False  # `data: [DONE]` after the last event, as some gateways send
    # A comment after each silence of this length, from the moment of asking: the API sends none; a server of one's
    # own in front of it can.
    heartbeat_s: PositiveFloat | None = None


class Limits(Part):
    """What the server takes before it refuses to read on."""

    held_bytes: PositiveInt = 2_000_000_000  # of all bodies that are being read or judged at once
    files_bytes: PositiveInt = 1_000_000_000  # of all uploaded files together
    body_bytes: PositiveInt = 1_000_000_000  # sixteen images of 50 MB and their form
    json_bytes: PositiveInt = 400_000_000  # sixteen data URLs of 20,971,520 characters, and the rest
    header_bytes: PositiveInt = 32_768
    keepalive_s: PositiveFloat = 3_600.0  # model seconds of silence before a connection or a body is given up


class Settings(Part):
    """Everything, with defaults that reproduce the article on the published API."""

    seed: int = 0
    lenient: bool = False
    tolerate: tuple[str, ...] = ()  # parameters to accept although the model refuses them: input_fidelity
    dialects: tuple[str, ...] = ()  # which vendors' ways are spoken; none named: all of them
    organization: str = "org-mock"
    hosts: tuple[str, ...] = ()  # names besides the loopback's own that a Host header may carry
    when_caller_leaves: Literal["finish", "stop"] = "finish"  # field reports: it completes and bills
    auto_quality: Literal["low", "medium", "high"] = "medium"  # the article's "minimal request" was medium
    latency: Latency = Latency()
    moderation: Moderation = Moderation()
    azure_deployments: dict[str, str] = Field(
        default_factory=dict
    )  # name: model; none named: any name will do
    keys: dict[str, Key] = Field(default_factory=dict)
    other_keys: Literal["accept", "refuse"] = "accept"
    quota: Quota = Quota()
    faults: tuple[FaultRule, ...] = ()
    stream: Stream = Stream()
    limits: Limits = Limits()
    network: Network = Network()
    jobs: Jobs = Jobs()


def shown(settings: Settings) -> dict[str, Any]:
    """The settings as they may be shown: the password of a Redis stays out."""
    told = settings.model_dump(mode="json")
    told["quota"]["redis"] = without_password(settings.quota.redis)
    return told


def without_password(url: str | None) -> str | None:
    """The address with `***` in the place of whatever comes before its host."""
    return None if url is None else _USER_INFO.sub(r"\1***@", url)


def of_the_start(before: Settings, after: Settings) -> str | None:
    """The first setting that only the start may set and that these would change; `None`: no such setting.

    Files and addresses are set where the mock is started, not by a request to it.
    """
    fixed = (
        ("quota.redis", before.quota.redis, after.quota.redis),
        ("quota.redis_prefix", before.quota.redis_prefix, after.quota.redis_prefix),
        ("quota.redis_time", before.quota.redis_time, after.quota.redis_time),
        ("moderation.rules", before.moderation.rules, after.moderation.rules),
        ("hosts", before.hosts, after.hosts),
        ("dialects", before.dialects, after.dialects),
        ("limits", before.limits, after.limits),
        ("jobs.callbacks", before.jobs.callbacks, after.jobs.callbacks),
    )
    changed = next((name for name, old, new in fixed if old != new), None)
    if changed is None and not _tables(after) <= _tables(before):
        return "latency.rows.csv"
    return changed


def _tables(settings: Settings) -> set[str]:
    return {row.csv for row in settings.latency.rows if row.csv is not None}


def merged(old: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The old tree with the branches that the changes name; lists are replaced, not mixed."""
    result = dict(old)
    for name, value in changes.items():
        inner = result.get(name)
        result[name] = merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return result


def explained(error: ValidationError) -> str:
    """The first mistake as one sentence: where it is, what is wrong, and the nearest right spelling."""
    first = error.errors(include_url=False)[0]
    place = ".".join(str(step) for step in first["loc"]) or "the whole"
    if first["type"] != "extra_forbidden":
        return f"{place}: {first['msg'].removeprefix('Value error, ')}"
    known = _names_at(Settings, first["loc"][:-1])
    near = get_close_matches(str(first["loc"][-1]), known, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"known here: {', '.join(known)}"
    return f"{place}: there is no such setting; {hint}"


def _names_at(model: type[BaseModel], steps: tuple[int | str, ...]) -> list[str]:
    """The names that a setting may have at this place of the tree."""
    for step in steps:
        if isinstance(step, int):
            continue
        inner = _model_in(model.model_fields[step].annotation) if step in model.model_fields else None
        if inner is None:
            return []
        model = inner
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _model_in(inner))), None)
