"""What triage must never claim, drawn from all that it knows: another's name, or a retry that pays again."""

from __future__ import annotations

import html
import json
import random
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whocut.chain.catalogue import catalogue
from whocut.chain.timers import Phase
from whocut.verdict.fingerprints import Ended, fingerprints
from whocut.verdict.triage import Cause, Retry, triage
from whocut.verdict.triage.endings import By
from whocut.verdict.triage.lexicon import Role, speakers
from whocut.verdict.triage.products import BUILT_ON
from whocut.verdict.verdict import Grade

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from whocut.verdict.triage import Triage

PREFIXES = (
    "",
    "web-1  | ",
    "2026-10-05T11:12:47.123456789Z stderr F ",
    "Oct  5 11:12:47 edge1 app[2217]: ",
    "[pod/img-7f5c/web] ",
    "2026-10-05T11:12:47.310Z ",
    "<134>1 2026-10-05T11:12:47Z edge1 app 2217 - - ",
    "> ",
    "0|cards  | ",
    "ERROR: ",
    "[2026-11-12 09:14:02] production.ERROR: ",
    "level=error ts=2026-10-05T11:12:47Z caller=main.go:31 msg=",
    "E1005 11:12:47.310000       1 proxy.go:88] ",
    "INFO:     ",
    "    ",
    "img-7f5c web ",
    "I, [2026-10-05T11:12:47.310 #22]  INFO -- : ",
    "[17:12:47] ",
    "(node:4021) Warning: ",
    "* ",
    "user@host:~$ ",
    "10.0.0.1 - ",
)
# How a text is written inside another: each takes the text and gives it quoted.
WRAPPINGS = (
    lambda text: json.dumps({"level": "error", "message": text}),
    lambda text: repr({"error": text}),
    lambda text: f"b{text!r}",
    lambda text: f"<pre>{html.escape(text)}</pre>",
    lambda text: 'level=error msg="' + text.replace('"', '\\"').replace("\n", "\\n") + '" request_id=7',
    lambda text: f"```text\n{text}\n```",
    lambda text: text.replace("\n", "\r\n"),
    lambda text: text.replace("\n", " "),
    lambda text: '"2026-10-05","error","' + text.replace('"', '""') + '"',
    lambda text: "Error: '" + text.replace("\n", "\\n' +\n    '") + "'",
    lambda text: "<p>" + text.replace("\n", "<br>\n") + "</p>",
)
# Layers that are one product under several names, or of whose words one cannot be told from the other's.
ALIKE = (
    {"vercel", "vercel-hobby", "vercel-pro", "vercel-enterprise", "vercel-legacy", "vercel-legacy-hobby",
     "vercel-legacy-pro", "vercel-legacy-enterprise", "netlify-functions", "aws-lambda"},
    {"openai-python", "azure-openai-python", "langchain-openai", "httpx"},
    {"openai-node", "undici"},
    {"supabase-edge", "supabase-edge-free", "supabase-edge-paid"},
    {"azure-functions", "azure-functions-consumption", "azure-functions-premium"},
    {"caddy", "caddy-2.6"},
    {"requests", "urllib3"},
    {"caddy", "traefik", "go-http"},  # programs in Go, which speak with its library's words
)  # fmt: skip


class Known(NamedTuple):
    """A text that one layer or client is known by, and what is true of it."""

    name: str
    text: str
    pays_again: bool


def everything() -> Iterator[Known]:
    """Every page, every preset's own answer and log line, every row of words."""
    for row in fingerprints():
        headers = [f"{name.replace('*', 'request-id')}: {begins or 'x'}" for name, begins in row.headers]
        body = row.whole if row.whole is not None else row.body[0] if row.body else ""
        if row.status:
            head = f"HTTP/1.1 {row.status[0]} Whatever"
            pays = row.ended is Ended.LAYER and row.phase is not Phase.CONNECT
            yield Known(row.layer, "\n".join([head, *headers, "", body]), pays)
    for name, preset in catalogue().items():
        for kind, answer in preset.answers.items():
            head = "\n".join(f"{key}: {value}" for key, value in answer.headers.items())
            text = f"HTTP/1.1 {answer.status} {answer.reason}\n{head}\n\n{answer.body}"
            yield Known(name, text, kind in {"expiry", "first_byte", "idle"})
        if preset.log_signal:
            several = ";" in preset.log_signal or "," in preset.log_signal
            yield Known(name, preset.log_signal, pays_again=not several)
    for speaker in speakers():
        for said in speaker.rows:
            words = said.words[0].replace("*", "4 ")
            text = "\n".join([*said.every, words])
            pays = said.ending.by is By.SELF and said.ending.retry is Retry.PAYS_AGAIN
            yield Known(speaker.name, text, pays and said.sure)


KNOWN = tuple(everything())


def may_be(name: str, layer: str) -> bool:
    """Whether a layer may be named for a text of another: the same, a plan of it, or of one family."""
    if layer == name or name.startswith(f"{layer}-") or layer.startswith(f"{name}-"):
        return True
    if layer in BUILT_ON.get(name, ()) or name in BUILT_ON.get(layer, ()):
        return True
    sets = {speaker.name: speaker.sets for speaker in speakers()}
    if layer in sets.get(name, frozenset()) or name in sets.get(layer, frozenset()):
        return True
    return any(name in group and layer in group for group in ALIKE)


def breaches(known: Known, found: Triage) -> list[str]:
    """What an answer claims and must not: another layer above `inferred`, or a retry that pays again."""
    claims = []
    if (
        found.layer is not None
        and found.grade not in {Grade.INFERRED, Grade.UNATTRIBUTED}
        and not may_be(known.name, found.layer)
    ):
        claims.append(f"{known.name} is told as {found.layer}")
    for one in (found, *found.others):
        if known.pays_again and one.retry in {Retry.SAFE, Retry.AFTER_WAIT}:
            claims.append(f"a retry is called {one.retry}")
        if known.pays_again and one.do.lower().startswith(("retry", "try again")):
            claims.append(f"a retry is advised: {one.do}")
        claims += [
            f"{what} is not said" for what, said in (("do", one.do), ("do not", one.do_not)) if not said
        ]
    return claims


@pytest.mark.parametrize("known", KNOWN, ids=[f"{number}-{known.name}" for number, known in enumerate(KNOWN)])
def test_no_text_gives_another_layers_name(known: Known) -> None:
    """As it stands, each known text names its own layer, or infers at most."""
    found = triage(known.text)

    assert breaches(known, found) == [], known.text


@given(
    known=st.sampled_from(KNOWN),
    prefix=st.sampled_from(PREFIXES),
    wrapped=st.lists(st.sampled_from(WRAPPINGS), max_size=3),
    cut=st.tuples(st.floats(0.0, 0.6), st.floats(0.4, 1.0)),
    head=st.booleans(),
)
def test_no_wrapping_gives_another_layers_name(
    *, known: Known, prefix: str, wrapped: list[Callable[[str], str]], cut: tuple[float, float], head: bool
) -> None:
    """Prefixes, quoting inside quoting and cutting at either end may make it unknown, never another's."""
    text = known.text
    for wrapping in wrapped:
        text = wrapping(text)
    text = "\n".join(prefix + line for line in text.split("\n"))
    text = text[int(len(text) * cut[0]) :] if head else text[: max(1, int(len(text) * cut[1]))]

    found = triage(text)

    assert breaches(known, found) == [], text


def test_a_fixed_limit_is_never_to_be_raised() -> None:
    """What a vendor does not let its users raise is not what the first words of the advice ask for."""
    texts = {
        "cloudflare": "524: A timeout occurred",
        "heroku": "Error H12 (Request timeout)",
        "aws-apigw-http": 'HTTP/1.1 503 x\napigw-requestid: a\n\n{"message":"Service Unavailable"}',
        "vercel-edge": "EDGE_FUNCTION_INVOCATION_TIMEOUT",
        "zapier": "The app did not respond in-time.",
    }

    advice = {name: triage(text) for name, text in texts.items()}

    assert {name: found.layer for name, found in advice.items()} == {name: name for name in texts}
    assert not [name for name, found in advice.items() if found.do.startswith("Raise")]


def test_a_stream_is_not_offered_against_a_timer_that_counts_the_body() -> None:
    """Where the timer is a total, partial images put nothing off."""
    answers = [(known.text, triage(known.text)) for known in KNOWN]
    totals = [(text, found) for text, found in answers if found.timer == "total" and found.layer]

    offered = [text for text, found in totals if "stream with partial images" in found.do.lower()]

    assert len(totals) > 10
    assert offered == []


# --- what it does not know ----------------------------------------------------------------------------------

NOUNS = "painting palette river engraver harbour canvas sketch lantern meadow copper thread widget".split()  # noqa: SIM905
VERBS = "draws mixes folds counts sends carries paints copies marks keeps".split()  # noqa: SIM905


def unrelated(draw: random.Random) -> str:
    """A fragment that tells of no request: prose, JSON, configuration, or a stack trace of something else."""
    noun, other, verb, number = (
        draw.choice(NOUNS),
        draw.choice(NOUNS),
        draw.choice(VERBS),
        draw.randint(2, 998),
    )
    forms = (
        f"The {noun} {verb} the {other} {number} times, and then {draw.choice(NOUNS)} {draw.choice(VERBS)}.",
        json.dumps({noun: number, other: [number, {"size": f"{number}x{number}", verb: None}], "ok": True}),
        f'Traceback (most recent call last):\n  File "/{noun}.py", line {number}, in {verb}\nIndexError: {other}',
        f"java.lang.NullPointerException: {noun} is null\n\tat com.example.{other}.{verb}({other}.java:{number})",
        f"{noun}:\n  {other}: {number}\n  replicas: 3\n  image: example/{noun}:{number}.0",
        f"TypeError: Cannot read properties of undefined (reading '{noun}')\n    at {verb} ({other}.js:{number})",
        f"INFO {noun} {verb} {number} rows of {other}",
        "".join(chr(draw.randint(32, 0x2FF)) for _ in range(draw.randint(1, 200))),
        f"select {noun}, count(*) from {other} where id = {number} group by 1",
        f"#{number} {noun} v{number}.{draw.randint(0, 9)} ({other})",
    )
    return "\n".join(draw.choice(forms) for _ in range(draw.randint(1, 4)))


def test_what_tells_of_no_request_is_unknown() -> None:
    """A thousand fragments of prose, JSON, configuration and other stack traces: unknown, and no more."""
    draw = random.Random(2026)
    fragments = [unrelated(draw) for _ in range(1000)]

    claimed = [(found, text) for text in fragments if (found := triage(text)).cause is not Cause.UNKNOWN]

    assert claimed == []


@pytest.mark.parametrize(
    "text",
    [
        "Block until the event is set or the optional timeout occurs.\nThe *timeout* is a number of seconds.",
        "The optional timeout parameter defines, in seconds, the total time to wait for the pattern.",
        "auth_timeout was reduced from 30 seconds",
        "timeout: 30\nretries: 3  # seconds between them: 5",
    ],
)
def test_what_explains_a_timeout_tells_of_none(text: str) -> None:
    """Documentation and settings that speak of timeouts and seconds are no request that ended."""
    found = triage(text)

    assert (found.cause, found.layer, found.timer) == (Cause.UNKNOWN, None, None)


SETTINGS = ("{}: 60", "{} = 60s", "{} 300s;", '  "{}": 60000,', "{}: 00:05:00", "export {}=300", "--{} 60")


def test_a_setting_is_no_request_that_ended() -> None:
    """Each knob that is known, set to a number in any of the forms of configuration, tells of no cut."""
    knobs = {str(knob) for speaker in speakers() for knob in speaker.knobs.values()}
    knobs |= {row.directive for speaker in speakers() for row in speaker.rows if row.directive}
    knobs |= {timer.directive for preset in catalogue().values() for timer in preset.timers.values()}
    known = sorted(filter(None, knobs))
    files = [known[start : start + 10] for start in range(0, len(known), 10)]

    texts = ["\n".join(form.format(knob) for knob in some) for some in files for form in SETTINGS]
    claimed = [(text, found.why) for text in texts if (found := triage(text)).cause is not Cause.UNKNOWN]

    assert len(known) > 200
    assert claimed == []


def test_a_setting_beside_a_cut_changes_nothing() -> None:
    """What a program was set to, printed beside its error, is not what fired."""
    found = triage("connectTimeout: 10000\nreadTimeout: 60000\nError: socket hang up\n  code: 'ECONNRESET'")

    assert (found.cause, found.timer, found.ended_by) == (Cause.CONNECTION, None, "upstream")


def test_what_is_unknown_says_what_would_decide_it() -> None:
    """The answer names what to paste, and how to send the text without secrets."""
    found = triage("Something went wrong while drawing.")

    assert (found.cause, found.layer, found.retry) == (Cause.UNKNOWN, None, Retry.UNKNOWN)
    assert "curl -sv" in found.do
    assert "--redacted" in found.do


def test_the_roles_of_speakers_are_those_of_the_catalogue() -> None:
    """A client's name is no hop's preset: its words would be blamed on a layer."""
    presets = catalogue()
    wrong = [
        speaker.name
        for speaker in speakers()
        if speaker.name in presets
        and (presets[speaker.name].role == "client") is not (speaker.role is Role.CLIENT)
    ]

    assert wrong == []


GENERAL = (
    "Stream timeout",
    "API error: streaming request timeout after 48s",
    "streaming timeout",
    "killed by timeout",
    "Operation timed out after 2400 seconds and 1 attempts.",
    "The operation was timed out",
    "Module execution timed out",
    "Function has exceeded the maximum execution time of 60 seconds",
    "Exceeded maximum execution time",
    "The request exceeded the configured timeout",
    "Read timed out after 30 s",
    "Idle timeout reached for worker 3",
    "Socket operation timed out",
    "reason=backend_timeout",
    "hit its timeout of 300 s",
    "Connecting timeout",
    "Receiving data timeout",
    "timed out reading response",
    "upstream idle timeout exceeded",
    "The backend did not respond",
    "connection pool timeout",
    "execution timed out",
    "worker timed out",
    "gateway timed out waiting for upstream",
)


@pytest.mark.parametrize("words", GENERAL)
def test_general_words_name_no_product_for_sure(words: str) -> None:
    """Words that any program may print are no product's own: at most they make one likely."""
    found = triage(words)

    named = found.layer or (found.product if found.directive else None)
    assert named is None or found.grade in {Grade.INFERRED, Grade.UNATTRIBUTED}, found
