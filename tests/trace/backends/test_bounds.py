"""What comes from a backend is foreign: every way of answering wrongly is one sentence, and holds to its bounds."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from pyarrow import parquet
from typer.testing import CliRunner

from tests.trace.backends.fakes import FAKES, Answer, Jaeger, Phoenix, Request, Tempo, serving
from tests.trace.backends.material import foreign_lines, wires, world_lines
from whocut.cli import app, main
from whocut.clock.clock import pause
from whocut.errors import BadInput, RemoteFailure
from whocut.trace.fetching.asked import Asked, near_limits
from whocut.trace.fetching.door import DEFAULT_BOUNDS, Address, Bounds, authorization, over_http
from whocut.trace.fetching.fetch import Source, backends, fetch_spans, parse_source

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WINDOW = ("--since", "2026-11-22T00:00:00Z", "--until", "2026-11-30T00:00:00Z")
ASKED = Asked(since_unix_s=1_795_300_000.0, until_unix_s=1_796_000_000.0, service="gateway", every=True)
OVER_HTTP = sorted(name for name, backend in backends().items() if backend.address == "URL")


def said(*arguments: str) -> tuple[int, str]:
    """The exit code and what the command says, without the breaks of lines."""
    done = CliRunner().invoke(app, ["attribute", *arguments])
    error = done.exception
    return getattr(error, "exit_code", done.exit_code), " ".join(f"{done.output} {error or ''}".split())


# --- answers of another form ----------------------------------------------------------------------------


@pytest.mark.sockets
@pytest.mark.parametrize("backend", OVER_HTTP)
@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (Answer(b"<html>not me</html>"), "its answer is no JSON. Is it a "),
        (Answer(b"[" * 5000), "its answer is no JSON. Is it a "),
        (Answer([1, 2]), "in another form"),
        (Answer("text"), "in another form"),
        (Answer({"data": 7, "traces": 7}), "in another form"),
        (Answer({"data": [7], "traces": [7]}), "in another form"),
        (Answer({"data": [None], "traces": [{"traceID": "../../etc"}]}), "in another form"),
        (Answer(b"no", 401), "refuses: HTTP 401. Name a variable that holds its token: --token-env NAME."),
        (Answer(b"overloaded", 503), "answers HTTP 503: overloaded."),
        (
            Answer(b"", 302, {"Location": "http://elsewhere.example/x?token=secret"}),
            "to elsewhere.example. Give",
        ),
        (Answer(b"x", 200, {"Content-Encoding": "gzip"}), "answers packed"),
    ],
)
def test_an_answer_of_another_form_is_one_sentence(backend: str, answer: Answer, says: str) -> None:
    """Exit code 3, the backend's name and its host; nothing is followed elsewhere."""
    with serving(lambda _: answer) as url:
        code, words = said("--from", f"{backend}={url}", "--service", "gateway", *WINDOW)

    assert code == 3
    assert says in words
    assert f"{backend} at 127.0.0.1:" in words
    assert "secret" not in words
    assert "Traceback" not in words


@pytest.mark.sockets
def test_a_backend_that_is_not_there_is_one_sentence() -> None:
    """Nothing listens: exit code 3, and what to do."""
    with serving(lambda _: Answer({})) as url:
        pass

    code, words = said("--from", f"jaeger={url}", "--service", "gateway")

    assert code == 3
    assert "cannot be reached: " in words
    assert "Start it, or correct --from." in words


@pytest.mark.sockets
def test_an_endless_answer_ends_at_the_bound() -> None:
    """A body without an end is read up to so many bytes, and no further."""
    sent = 0

    def pieces() -> Any:
        nonlocal sent
        for _ in itertools.count():
            sent += 65_536
            yield b" " * 65_536

    with (
        serving(lambda _: Answer(parts=pieces())) as url,
        pytest.raises(RemoteFailure, match=r"more than 1 MiB"),
    ):
        fetched(url, Bounds(answer_bytes=1024**2))

    assert sent < 32 * 1024**2


@pytest.mark.sockets
def test_a_slow_answer_ends_at_the_bound() -> None:
    """A body of which a byte comes now and then is not waited for."""

    def pieces() -> Any:
        for _ in range(100):
            pause(0.1)
            yield b" "

    with (
        serving(lambda _: Answer(parts=pieces())) as url,
        pytest.raises(RemoteFailure, match=r"within 0\.4 s"),
    ):
        fetched(url, replace(DEFAULT_BOUNDS, answer_real_s=0.4))


@pytest.mark.sockets
@pytest.mark.parametrize(
    ("bounds", "says"),
    [(Bounds(requests=1), "more than 1 requests"), (Bounds(all_bytes=2_000), "more than 0 MiB")],
)
def test_all_answers_together_have_bounds(bounds: Bounds, says: str) -> None:
    """Pages without an end come to one: in requests, and in bytes."""

    class Endless(Phoenix):
        def answer(self, request: Request) -> Answer:
            said = super().answer(request)
            if request.path == "/v1/projects":
                said.body["next_cursor"] = "again"
            return said

    with serving(Endless([])) as url, pytest.raises(RemoteFailure, match=says):
        fetched(url, bounds, "phoenix")


def fetched(url: str, bounds: Bounds, name: str = "jaeger") -> Any:
    """Fetch with other bounds."""
    backend = backends()[name]
    reader = {"jaeger": "_Jaeger", "phoenix": "_Phoenix"}[name]
    module = __import__(f"whocut.trace.backends.{name}", fromlist=[reader])
    opened = over_http(name, getattr(module, reader), bounds)
    return fetch_spans(Source(name, replace(backend, opened=opened), url), ASKED)


@pytest.mark.sockets
@pytest.mark.parametrize(
    "spoil",
    [
        lambda span: span.pop("startTime"),
        lambda span: span.update(startTime="soon"),
        lambda span: span.update(duration=None),
        lambda span: span.update(duration="9" * 1_000_000),
        lambda span: span.update(traceID="zz" * 16),
        lambda span: span.update(spanID=[1]),
        lambda span: span.update(tags=[{"value": 1}]),
        lambda span: span.update(tags={"a": 1}),
        lambda span: span.update(references=[{}]),
        lambda span: span.update(operationName={"a": 1}),
        lambda span: span.update(logs=[{"timestamp": "x", "fields": []}]),
        lambda span: span.update(startTime=10**18),
    ],
)
def test_a_span_of_another_form_is_one_sentence(spoil: Callable[[dict[str, Any]], object]) -> None:
    """A missing field, a wrong type, a number beyond all measure: no verdict rests on it."""

    class Spoilt(Jaeger):
        def answer(self, request: Request) -> Answer:
            said = super().answer(request)
            for trace in said.body["data"]:
                spoil(trace["spans"][0])
            return said

    with serving(Spoilt(wires(foreign_lines()))) as url:
        code, words = said("--from", f"jaeger={url}", "--service", "gateway", *WINDOW)

    assert code == 3, words
    assert "Traceback" not in words


# --- addresses and secrets ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("jeager=http://127.0.0.1", "no backend with an address (did you mean 'jaeger'?)"),
        ("http://user:hunter2@host", "'the value' is no backend"),
        ("jaeger=http://user:hunter2@127.0.0.1", "it may hold a secret"),
        ("jaeger=http://127.0.0.1?token=hunter2", "it may hold a secret"),
        ("jaeger=ftp://127.0.0.1", "is no URL"),
        ("jaeger=127.0.0.1:16686", "is no URL"),
        ("tempo=http://[", "is no URL"),
        ("clickhouse=http://127.0.0.1:8123/a/b", "is no database"),
        ("parquet=nowhere.parquet", "nowhere.parquet: it cannot be read"),
    ],
)
def test_a_wrong_address_is_named_without_its_secret(written: str, says: str) -> None:
    """Exit code 2; what may be a secret is not shown."""
    code, words = said("--from", written)

    assert (code, says in words, "hunter2" in words) == (2, True, False), words


def test_a_flag_of_a_search_without_a_backend_is_refused() -> None:
    """None of them means anything for files."""
    for flag in (
        ("--service", "x"),
        ("--since", "1h"),
        ("--limit", "3"),
        ("--all",),
        ("--slower-than", "9s"),
    ):
        code, words = said("--spans", "spans.jsonl", *flag)

        assert (code, "belongs to --from" in words) == (2, True), flag


@pytest.mark.parametrize(
    ("flag", "value", "says"),
    [
        ("--since", "yesterday", "not a duration"),
        ("--since", "2026-99-01", "is no instant"),
        ("--since", "none", "is no length of time"),
        ("--until", "2h", "it is not after --since"),
        ("--slower-than", "12", "has no unit"),
        ("--token-env", "WHOCUT_NO_SUCH", "is not set"),
    ],
)
def test_a_wrong_flag_is_one_sentence(flag: str, value: str, says: str) -> None:
    """Exit code 2, before anything is asked."""
    code, words = said("--from", "jaeger=http://127.0.0.1:1", flag, value)

    assert (code, says in words) == (2, True), words


TOKEN = "Zq8vN3kL0pXw7RtB2yHd"


@pytest.mark.sockets
@pytest.mark.parametrize(
    ("value", "header"),
    [
        (TOKEN, f"Bearer {TOKEN}"),
        (f"ApiKey {TOKEN}", f"ApiKey {TOKEN}"),
        (f"default:{TOKEN}", "Basic ZGVmYXVsdDpacTh2TjNrTDBwWHc3UnRCMnlIZA=="),
    ],
)
def test_the_token_goes_to_the_backend_and_nowhere_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], value: str, header: str
) -> None:
    """It comes from the environment; a backend that answers with it does not bring it onto the screen."""
    monkeypatch.setenv("JAEGER_LOGIN", value)
    seen: list[str] = []

    def answer(request: Request) -> Answer:
        seen.append(request.headers["Authorization"])
        return Answer(f"by default no {TOKEN} and no {header}".encode(), 500)

    with serving(answer) as url:
        command = [
            "whocut",
            "attribute",
            "--from",
            f"jaeger={url}",
            "--service",
            "x",
            "--token-env",
            "JAEGER_LOGIN",
        ]
        monkeypatch.setattr("sys.argv", command)
        with pytest.raises(SystemExit) as ended:
            main()

    printed = "".join(capsys.readouterr())
    assert (ended.value.code, seen) == (3, [header])
    assert "by default no [redacted]" in printed
    assert TOKEN not in printed
    assert header.rpartition(" ")[2] not in printed


def test_a_token_does_not_go_over_the_network_in_the_clear() -> None:
    """Plain HTTP takes one on the loopback alone."""
    with pytest.raises(BadInput, match="in the clear"):
        Address.parse("http://tempo.internal:3200", secret=True)

    assert Address.parse("https://tempo.internal/x/", secret=True).url == "https://tempo.internal:443/x"
    assert Address.parse("http://[::1]:3200", secret=True).host == "[::1]:3200"


def test_a_token_is_a_bearers_unless_it_says_otherwise() -> None:
    """A user with a password is basic; a whole header's value stays."""
    assert authorization("abc") == "Bearer abc"
    assert authorization("me:pw") == "Basic bWU6cHc="
    assert authorization("ApiKey abc") == "ApiKey abc"


# --- bounds of a search ---------------------------------------------------------------------------------


@pytest.mark.sockets
@pytest.mark.parametrize("backend", OVER_HTTP)
def test_the_limit_bounds_what_is_fetched_and_the_rest_is_counted(backend: str) -> None:
    """Of twelve traces two are fetched, and the answer says that some were left out."""
    if backend == "clickhouse":
        pytest.importorskip("chdb", reason="pip install chdb-core: the engine of ClickHouse, 530 MB")
    with serving(FAKES[backend](wires(world_lines(0)))) as url:
        place = "/fake" if backend == "clickhouse" else ""
        asked = replace(ASKED, service=None, limit=2)
        spans, looked = fetch_spans(parse_source(f"{backend}={url}{place}"), asked)

    assert looked.fetched == len({span.trace_id for span in spans}) == 2
    assert looked.left_out >= 1
    assert looked.more == (backend != "clickhouse")
    assert looked.more or looked.left_out == 10
    assert "left out" in looked.as_words()


@pytest.mark.sockets
def test_a_full_answer_is_asked_again_in_halves() -> None:
    """Tempo has no pages: a search whose answer is full loses nothing."""
    lines = b"".join(world_lines(number) for number in range(3))

    class Small(Tempo):
        def answer(self, request: Request) -> Answer:
            if request.path == "/api/search":
                request.query["limit"] = "5"
            return super().answer(request)

    with pytest.MonkeyPatch.context() as patch, serving(small := Small(wires(lines))) as url:
        patch.setattr("whocut.trace.backends.tempo._PAGE", 5)
        _, looked = fetch_spans(parse_source(f"tempo={url}"), replace(ASKED, service=None))

    assert (looked.fetched, looked.left_out) == (len(small.traces), 0)


@pytest.mark.sockets
def test_only_suspicious_traces_are_fetched_whole() -> None:
    """Tempo is asked for three of the six traces by their ids, and for no other."""
    with serving(store := Tempo(wires(foreign_lines()))) as url:
        asked = replace(ASKED, every=False, service=None, near=near_limits(None))
        _, looked = fetch_spans(parse_source(f"tempo={url}"), asked)

    by_id = [request.path for request in store.requests if request.path.startswith("/api/traces/")]
    assert (len(by_id), looked.found, looked.fetched) == (3, 3, 3)


@pytest.mark.sockets
def test_the_service_narrows_the_search_and_not_the_trace() -> None:
    """A span of the app is suspicious by its length alone; the trace comes with all of its layers."""
    with serving(Jaeger(wires(foreign_lines()))) as url:
        asked = replace(ASKED, every=False, service="app", slower_than_s=190.0)
        spans, looked = fetch_spans(parse_source(f"jaeger={url}"), asked)

    assert looked.fetched == 1
    assert {span.layer for span in spans} == {"client", "gateway", "app"}


@pytest.mark.sockets
@pytest.mark.parametrize("backend", ["clickhouse", "jaeger", "tempo"])
def test_a_name_of_a_service_is_a_value_and_no_part_of_a_query(backend: str) -> None:
    """Quotes, brackets and backslashes of a name are the name's own."""
    if backend == "clickhouse":
        pytest.importorskip("chdb", reason="pip install chdb-core: the engine of ClickHouse, 530 MB")
    name = """it's a \\ "gate" ') OR 1 } || {"""
    stored = wires(foreign_lines())
    for wire in stored[:2]:
        wire.resource["service.name"] = name
    with serving(FAKES[backend](stored)) as url:
        place = "/fake" if backend == "clickhouse" else ""
        _, looked = fetch_spans(parse_source(f"{backend}={url}{place}"), replace(ASKED, service=name))

    assert (looked.found, looked.fetched) == (1, 1)


@pytest.mark.sockets
def test_no_such_trace_is_no_success() -> None:
    """The exit code is 1, and the sentence says where to look."""
    with serving(Jaeger([])) as url:
        code, words = said("--from", f"jaeger={url}", "--service", "gateway")

    assert code == 1
    assert "Look further back with --since" in words


def test_attempts_that_are_judged_already_are_no_spans(tmp_path: Path) -> None:
    """The export of a run has no spans: the sentence says so."""
    path = tmp_path / "run.parquet"
    parquet.write_table(
        pa.table({name: ["x"] for name in ("trace_id", "attempt", "outcome", "phrase")}), path
    )

    code, words = said("--from", f"parquet={path}")

    assert code == 2
    assert "judged already" in words
