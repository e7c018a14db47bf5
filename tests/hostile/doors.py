"""The doors: what comes in by each, a corpus of honest inputs, and how an input is handed in."""

from __future__ import annotations

import asyncio
import io
import logging
import random
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import orjson
from pydantic import ValidationError

from tests.config.cases import cases
from tests.hostile import backends, between_machines
from tests.hostile.watching import Refused, Wrong, wind_up
from tests.jobs.place import ORDER, on_place
from tests.mock_upstream.stage import KEY, on_stage
from tests.path.fakes import FakeUpstream, Rig, layer, ok, request, send
from tests.path.test_timers import virtual_clock
from tests.path.test_trust import INTERIM, TOKENS
from tests.reports.made_run import MadeRun, article_run
from tests.trace.made import record_of
from tests.watch.made import export_of
from tests.watch.others import as_json, as_protobuf, exports, random_trace
from tests.watch.same import Watched
from whocut.chain.plain import topology_of
from whocut.cli.terminal import Terminal
from whocut.clock import run_virtual
from whocut.config.formats import formats as config_formats
from whocut.config.reading import Asked
from whocut.config.sources import read_chain, read_files
from whocut.foreign.files import attribute_files
from whocut.foreign.spans import ASKED
from whocut.show.why import explain, show_why
from whocut.trace import otlp, receiver
from whocut.trace.export import readable
from whocut.trace.lean import LeanReader
from whocut.trace.logs.formats import formats as log_formats
from whocut.trace.logs.formats import recognise
from whocut.trace.logs.reading import Read, read_lines, take_line, told_together
from whocut.trace.otlp_logs import lines_of
from whocut.trace.records import SpanKind
from whocut.trace.rundir import ATTEMPTS, LEDGER, MANIFEST, SPANS, RunDir
from whocut.verdict.of_run import judge_run
from whocut.verdict.summary import judge
from whocut.verdict.triage import triage
from whocut.verdict.triage.masked import masked
from whocut_mock import Settings
from whocut_mock.yaml_file import read as read_yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.hostile.watching import Watch
    from whocut.trace.records import Span

DATA: Final = Path(__file__).parents[1] / "data"
CHAINS: Final = Path(__file__).parents[2] / "scenarios" / "chains"
EPOCH_UNIX_S: Final = 1_790_000_000.0
_GRACE_S: Final = 5.0  # of virtual time, for a peer that rightly waits for more


@dataclass(frozen=True, slots=True)
class Door:
    """`play` hands in inputs one by one, each inside the watch; `at_once` is how many a call is worth."""

    name: str
    corpus: Callable[[Path], list[bytes]]
    play: Callable[[Path, Sequence[bytes], Watch], None]
    at_once: int = 200


def _each(name: str, feed: Callable[[Path, bytes], None]) -> Callable[[Path, Sequence[bytes], Watch], None]:
    """A door that takes one input after the other."""

    def play(folder: Path, inputs: Sequence[bytes], watch: Watch) -> None:
        for data in inputs:
            wind_up()
            with watch.over(name, data):
                feed(folder, data)

    return play


# --- OTLP: what is taken can be judged --------------------------------------------------------------------


def _a_run(requests: int = 2) -> MadeRun:
    return article_run(requests=requests)


def _span_lines(folder: Path) -> list[bytes]:
    run = folder / "spans-of-a-run"
    shutil.rmtree(run, ignore_errors=True)
    spans = (_a_run().write(run).path / SPANS).read_bytes().splitlines(keepends=True)
    return [*spans, *(otlp.encode_line([span], EPOCH_UNIX_S) for span in map(record_of, SpanKind))]


def _otlp(folder: Path, data: bytes) -> None:
    made, taken_once = _MADE.setdefault("run", _a_run()), False
    for kind in (receiver.JSON, receiver.PROTOBUF):
        try:
            spans, line = receiver._records(receiver._parsed(kind, data), EPOCH_UNIX_S)
        except ValueError as error:
            _as_answered(error)
            _both_ways(kind, data, None)
            continue
        taken_once = True
        _both_ways(kind, data, list(otlp.decode_line(line, 0.0)))
        if not spans:
            continue
        taken = list(otlp.decode_line(line, EPOCH_UNIX_S))
        otlp.onto_one_clock(taken)
        for wire in otlp.wire_spans(line):
            readable(wire)
        judge(made.attempts, [*made.spans, *taken], made.ledger, made.topology)
        (folder / "taken.jsonl").write_bytes(line)
        attribute_files([folder / "taken.jsonl"], [])
    if not taken_once:
        raise Refused


def _as_answered(error: ValueError) -> None:
    refused = receiver._refused_for(error)
    if not 400 <= refused.status < 500:
        raise Wrong(f"refused with {refused.status}") from None


def _both_ways(kind: str, data: bytes, taken: list[Span] | None) -> None:
    """A watch takes what the codec takes, refuses what it refuses, and judges the same of it."""
    try:
        found = receiver.read_spans(kind, data, _READER)
    except ValueError as error:
        if taken is not None:
            raise Wrong(f"a watch refuses what is taken: {error}") from None
        return
    if taken is None:
        raise Wrong("a watch takes what is refused")
    if isinstance(found, dict) and (wrong := _WATCHED.unlike([found], taken)) is not None:
        raise Wrong(wrong)


_READER: Final = LeanReader(ASKED)
_WATCHED: Final = Watched()
_MADE: dict[str, MadeRun] = {}


def _foreign_corpus(_: Path) -> list[bytes]:
    """Export requests of other people's spans, in both forms."""
    dice = random.Random(5)
    spans = [span for number in range(30) for span in random_trace(dice, number + 1)]
    requests = exports(spans, dice, 6)
    return [write(one) for one in requests for write in (as_json, as_protobuf)]


def _foreign(_: Path, data: bytes) -> None:
    taken_once = False
    for kind in (receiver.JSON, receiver.PROTOBUF):
        try:
            spans, _line = receiver._records(receiver._parsed(kind, data), 0.0)
        except ValueError as error:
            _as_answered(error)
            _both_ways(kind, data, None)
            continue
        taken_once = True
        _both_ways(kind, data, spans)
    if not taken_once:
        raise Refused


def _sent_corpus(_: Path) -> list[bytes]:
    """Export requests of logs, each with some captured lines."""
    return [
        orjson.dumps(export_of(path.read_text(errors="replace").splitlines()[:4], trace_id=f"{7:032x}"))
        for path in sorted((DATA / "logs").iterdir())
    ]


def _sent(_: Path, data: bytes) -> None:
    taken_once = False
    for kind in (receiver.JSON, receiver.PROTOBUF):
        try:
            lines, kept = receiver._logs(kind, data)
        except ValueError as error:
            _as_answered(error)
            continue
        taken_once = True
        if lines_of(orjson.loads(kept)) != lines:
            raise Wrong("what is kept of a request of logs is not what was taken")
        for at, line in enumerate(lines):
            take_line(line.text, at, log_formats()["nginx"], "nginx", line.service, Read())
    if not taken_once:
        raise Refused


def _spans(folder: Path, data: bytes) -> None:
    file = folder / "spans.jsonl"
    file.write_bytes(data)
    attributed = attribute_files([file], [])
    orjson.dumps(attributed.as_json())
    list(attributed.as_words())


# --- logs -------------------------------------------------------------------------------------------------


def _logs_corpus(_: Path) -> list[bytes]:
    whole = [path.read_bytes() for path in sorted((DATA / "logs").iterdir())]
    return whole + [line for data in whole for line in data.splitlines(keepends=True)[:4]]


def _logs(folder: Path, data: bytes) -> None:
    lines = data.splitlines(keepends=True)
    for name, known in log_formats().items():
        read = Read()
        read_lines(lines, known, name, "file", read)
        told_together(read.accounts)
    for line in lines[:20]:
        recognise(line.decode("utf-8", "replace"))


# --- run directories --------------------------------------------------------------------------------------

_FILES: Final = (MANIFEST, ATTEMPTS, SPANS, LEDGER)


def _run_corpus(folder: Path) -> list[bytes]:
    """The files of a run, each led by its number."""
    run = folder / "honest"
    shutil.rmtree(run, ignore_errors=True)
    _a_run().write(run, load=_LOAD)
    return [bytes([number]) + (run / name).read_bytes() for number, name in enumerate(_FILES)]


_LOAD: Final = {
    "base_url": "http://127.0.0.1:1/v1",
    "stages": [{"name": "plain", "mix": {"plain": 1.0}, "requests": 2, "arrivals": None}],
    "users": 2,
    "seed": 7,
    "partial_images": 0,
    "upstream_control": None,
}


def _run_directory(folder: Path, data: bytes) -> None:
    run = folder / "honest"
    file = run / _FILES[data[0] % len(_FILES) if data else 0]
    honest = file.read_bytes()
    file.write_bytes(data[1:])
    try:
        found = RunDir.open(run)
        judge_run(found, topology_of(found.manifest))
        explained = explain(run, None, "typical")
        orjson.dumps(explained.as_json())
        show_why(explained, Terminal(file=io.StringIO(), width=120))
    finally:
        file.write_bytes(honest)


# --- pastes -----------------------------------------------------------------------------------------------


def _pastes_corpus(_: Path) -> list[bytes]:
    files = [*(DATA / "pages").iterdir(), *(DATA / "logs").iterdir(), *(DATA / "clients").rglob("*")]
    return [path.read_bytes()[:20_000] for path in sorted(files) if path.is_file()] + [_HAR, _API]


_HAR: Final = orjson.dumps(
    {
        "log": {
            "version": "1.2",
            "entries": [
                {
                    "startedDateTime": "2026-01-01T00:00:00Z",
                    "time": 60012.5,
                    "request": {"method": "POST", "url": "https://a.example/v1/images/generations", "headers": []},
                    "response": {
                        "status": 504,
                        "statusText": "Gateway Time-out",
                        "headers": [{"name": "Server", "value": "nginx"}],
                        "content": {"text": "<h1>504 Gateway Time-out</h1>", "mimeType": "text/html"},
                    },
                    "timings": {"wait": 60000.0, "send": 1, "receive": 2},
                }
            ],
        }
    }
)  # fmt: skip
_API: Final = orjson.dumps(
    {
        "error": {
            "message": "Please try again in 1.2s.",
            "type": "requests",
            "param": "size",
            "code": "rate_limit",
        }
    }
)


def _paste(_: Path, data: bytes) -> None:
    text = data.decode("utf-8", "replace").replace("\r\n", "\n")
    found = triage(text)
    orjson.dumps(found.as_json())
    said = "".join(words for _, words in found.as_words())
    if any(sign in said for sign in "\x1b\x07\x9b\u202e"):
        raise Wrong("a control character in the answer")
    masked(text)


# --- chains and configurations ----------------------------------------------------------------------------


def _chains_corpus(_: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(CHAINS.glob("*.yaml"))]


def _chain(folder: Path, data: bytes) -> None:
    file = folder / "chain.yaml"
    file.write_bytes(data)
    read_chain(file)


def _configs_corpus(_: Path) -> list[bytes]:
    """Files of each format, led by the format's number."""
    names = list(config_formats())
    return [
        bytes([names.index(kind)]) + text.encode()
        for case in cases()
        if (kind := case.kind.partition("-")[0]) in names
        for text in case.files.values()
    ]


def _config(folder: Path, data: bytes) -> None:
    names = list(config_formats())
    kind = names[data[0] % len(names)] if data else names[0]
    file = folder / "configuration"
    file.write_bytes(data[1:])
    read_files([f"{kind}={file}"], Asked(host="img.example.com", path="/v1/images/generations"))


def _settings_corpus(_: Path) -> list[bytes]:
    return [
        b"latency: {constant_s: 10}\nquota: {rpm: 5}\n",
        b"faults:\n  - kind: status\n    status: 503\n    share: 0.1\n",
        orjson.dumps(Settings().model_dump(mode="json")),
    ]


def _settings(folder: Path, data: bytes) -> None:
    file = folder / "settings.yaml"
    file.write_bytes(data)
    try:
        Settings.model_validate(read_yaml(file))
    except (ValueError, ValidationError) as error:
        if not str(error):
            raise Wrong("a refusal without a sentence") from None
        raise Refused from None


# --- sockets, in virtual time -----------------------------------------------------------------------------


def _hop_corpus(_: Path) -> list[bytes]:
    """What a caller sends and what an upstream does, one behind the other."""
    whole = [request(), request(b"GET"), ok(), INTERIM, b"".join(TOKENS)]
    return [one + _BETWEEN + other for one in whole for other in (ok(), INTERIM + ok(), b"")]


_BETWEEN: Final = b"\xff\xff--\xff\xff"


def _hop(_: Path, inputs: Sequence[bytes], watch: Watch) -> None:
    for data in inputs:
        asked, _between, answered = data.partition(_BETWEEN)
        wind_up()
        with watch.over("hop", data):
            run_virtual(_exchange(asked, answered))


async def _exchange(asked: bytes, answered: bytes) -> None:
    rig = Rig(
        layer(first_byte=10, idle=10, keepalive=10),
        upstream=FakeUpstream((send(answered),)),
        clock=virtual_clock(),
    )
    async with rig:
        caller = await rig.call()
        for start in range(0, len(asked), 1000):
            caller.transport.write(asked[start : start + 1000])
            await asyncio.sleep(0.001)
        await caller.until(lambda caller: bool(caller.ended))
        await asyncio.sleep(1)
    if caller.got[:9] not in {b"", b"HTTP/1.1 "}:
        raise Wrong("the caller got something that is not HTTP")
    if rig.hop.fallen is not None:
        raise Wrong(f"the hop has fallen: {rig.hop.fallen}")
    if rig.hop.callers or rig.hop.upstreams:
        raise Wrong("connections are left")


def _http(path: bytes, body: bytes, *headers: bytes, method: bytes = b"POST") -> bytes:
    fields = b"\r\n".join(
        (b"Host: 127.0.0.1", b"Connection: close", b"Content-Type: application/json", *headers)
    )
    return b"%b %b HTTP/1.1\r\n%b\r\nContent-Length: %d\r\n\r\n%b" % (method, path, fields, len(body), body)


def _mock_corpus(_: Path) -> list[bytes]:
    key = b"Authorization: Bearer " + KEY.encode()
    minimal = b'{"model":"gpt-image-2","prompt":"a heron","size":"1024x1024","quality":"low","n":1}'
    stream = b'{"model":"gpt-image-2","prompt":"a heron","stream":true,"partial_images":2}'
    chat = b'{"model":"gpt-5","messages":[{"role":"user","content":"a heron"}]}'
    return [
        _http(b"/v1/images/generations", minimal, key),
        _http(b"/v1/images/generations", stream, key),
        _http(
            b"/v1/responses",
            b'{"model":"gpt-5","input":"a heron","tools":[{"type":"image_generation"}]}',
            key,
        ),
        _http(b"/v1/chat/completions", chat, key),
        _http(
            b"/v1/images/edits", b"--x\r\n\r\n--x--", key, b"Content-Type: multipart/form-data; boundary=x"
        ),
        _http(b"/_mock/reset", b"{}", b"x-mock-token: x"),
        _http(b"/v1/models", b"", key, method=b"GET"),
    ]


def _on_port(
    door: str, port: int, errors: _Errors, inputs: Sequence[bytes], watch: Watch
) -> Callable[[], Any]:
    async def play() -> None:
        for data in inputs:
            wind_up()
            with watch.over(door, data):
                got = await _answer(port, data)
                if got and not got.startswith(b"HTTP/"):  # aiohttp answers a line without a version as 0.9
                    raise Wrong("an answer that is not HTTP")
                if got.split(b"\r\n", 1)[0].split(b" ")[1:2] == [b"500"] and b"x-mock" not in got.lower():
                    raise Wrong(f"500: {errors.last}")
                if errors.last:
                    raise Wrong(errors.take())
                if got.split(b" ", 2)[1:2] and got.split(b" ", 2)[1].startswith(b"4"):
                    raise Refused

    return play


async def _answer(port: int, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    got = b""
    try:
        writer.write(data)
        async with asyncio.timeout(_GRACE_S):
            got = await reader.read(2**16)
    except (TimeoutError, ConnectionError):
        pass
    finally:
        writer.close()
    return got


class _Errors(logging.Handler):
    """The last traceback that a server has logged."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.last = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        if record.exc_info and record.exc_info[1] is not None:
            self.last = f"{type(record.exc_info[1]).__name__}: {record.exc_info[1]}"

    def take(self) -> str:
        """The traceback's last line, once."""
        last, self.last = self.last, ""
        return last

    def __enter__(self) -> Self:
        logging.getLogger().addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger().removeHandler(self)


def _mock(_: Path, inputs: Sequence[bytes], watch: Watch) -> None:
    with _Errors() as errors:

        async def play(stage: Any) -> None:
            port = int(stage.running.base_url.rsplit(":", 1)[1].split("/")[0])
            await _on_port("mock", port, errors, inputs, watch)()

        on_stage(play, Settings.model_validate({"latency": {"constant_s": 0.5}}))


def _jobs_corpus(_: Path) -> list[bytes]:
    order = orjson.dumps(ORDER)
    door = b"Authorization: Bearer TOKEN"
    return [
        _http(b"/jobs", order, door),
        _http(b"/jobs", order, door, b"Idempotency-Key: a"),
        _http(b"/jobs", orjson.dumps(ORDER | {"callback_url": "http://127.0.0.1:1/hook", "n": 2}), door),
        _http(b"/jobs/abc", b"", door, method=b"GET"),
        _http(b"/jobs?limit=5&after=abc", b"", door, method=b"GET"),
        _http(b"/jobs/abc/events", b"", door, b"Last-Event-ID: 5", method=b"GET"),
        _http(b"/jobs/abc", b"", door, method=b"DELETE"),
    ]


def _jobs(folder: Path, inputs: Sequence[bytes], watch: Watch) -> None:
    store = folder / "jobs"
    shutil.rmtree(store, ignore_errors=True)
    store.mkdir()
    with _Errors() as errors:

        async def play(place: Any) -> None:
            port = int(place.base_url.rsplit(":", 1)[1].split("/")[0])
            token = place.service.door.token.encode()
            told = [data.replace(b"TOKEN", token) for data in inputs]
            await _on_port("jobs", port, errors, told, watch)()

        on_place(play, store / "jobs.db")


DOORS: Final = (
    Door("backends", backends.corpus, _each("backends", backends.feed)),
    Door("otlp", _span_lines, _each("otlp", _otlp)),
    Door(
        "spans", lambda folder: [b"".join(_span_lines(folder)), *_span_lines(folder)], _each("spans", _spans)
    ),
    Door("foreign", _foreign_corpus, _each("foreign", _foreign)),
    Door("sent", _sent_corpus, _each("sent", _sent)),
    Door("logs", _logs_corpus, _each("logs", _logs)),
    Door("run", _run_corpus, _each("run", _run_directory), 50),
    Door("paste", _pastes_corpus, _each("paste", _paste)),
    Door("chain", _chains_corpus, _each("chain", _chain)),
    Door("config", _configs_corpus, _each("config", _config)),
    Door("settings", _settings_corpus, _each("settings", _settings)),
    Door("hop", _hop_corpus, _hop),
    Door("mock", _mock_corpus, _mock),
    Door("jobs", _jobs_corpus, _jobs),
    Door("workers", between_machines.words, _each("workers", between_machines.hear)),
    Door("door", between_machines.knocks, between_machines.knock),
)
