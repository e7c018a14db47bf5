"""Lines of logs that come by OTLP: the same verdicts as from the files in which they would have lain."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import urllib.request
from collections import Counter
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)

from tests.foreign.test_many import FIXTURES, LOGS, nginx_line
from tests.watch.made import SERVICE, export_of
from tests.watch.test_watch import Now, alike, plan_in, verdicts_in
from whocut.clock import run_real
from whocut.errors import BadInput
from whocut.foreign.files import attribute_files, parse_logs
from whocut.trace.otlp_logs import lines_of
from whocut.trace.receiver import JSON, PROTOBUF
from whocut.watch.sent import parse_watched
from whocut.watch.serve import Watch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from whocut.verdict.verdict import Verdict

TRACE = f"{7:032x}"
ONE_OF_EACH = [(name, file) for name, files in FIXTURES.items() for file in files]


def send(watch: Watch, export: dict[str, Any]) -> int:
    """As the receiver hands a request on; how many of its lines belong to no log."""
    return watch.log_sink(orjson.dumps(export) + b"\n", lines_of(export))


def decided(watch: Watch, now: Now) -> None:
    """Let the time pass in which error lines and silent layers are waited for."""
    for _ in range(4):
        now.at_s += 1_000
        watch.decide()


def told(verdicts: list[Verdict] | list[dict[str, Any]]) -> Counter[tuple[str, ...]]:
    """Verdicts but for the requests' names: a line without one is called by its place."""
    return Counter(row[1:] for row in alike(verdicts).elements())


def of_file(name: str, file: str) -> Counter[tuple[str, ...]]:
    """What the file's own verdicts are."""
    return told(attribute_files([], parse_logs([f"{name}={LOGS / file}"])).verdicts)


def as_value(value: Any) -> dict[str, Any]:
    """A value of JSON as OTLP has it."""
    if isinstance(value, dict):
        return {
            "kvlistValue": {"values": [{"key": key, "value": as_value(one)} for key, one in value.items()]}
        }
    if isinstance(value, list):
        return {"arrayValue": {"values": [as_value(one) for one in value]}}
    if value is None:
        return {}
    kinds = {bool: "boolValue", int: "intValue", float: "doubleValue", str: "stringValue"}
    return {kinds[type(value)]: value}


@pytest.mark.parametrize(("name", "file"), ONE_OF_EACH, ids=[file for _, file in ONE_OF_EACH])
def test_lines_that_are_sent_have_the_verdicts_of_the_file(tmp_path: Path, name: str, file: str) -> None:
    """Each captured format, a record a line."""
    lines = (LOGS / file).read_text(errors="replace").splitlines()
    watch = Watch(plan_in(tmp_path, logs=parse_watched([f"{name}=otlp:{SERVICE}"])), now_s=(now := Now()))

    strange = send(watch, export_of(lines))
    decided(watch, now)

    assert strange == 0
    assert told(verdicts_in(tmp_path)) == of_file(name, file)
    assert watch.journal.held_bytes == 0
    watch.close()


@pytest.mark.parametrize("file", ["envoy.log", "caddy.log", "traefik.log"])
def test_a_record_of_fields_is_the_line_that_its_product_writes(tmp_path: Path, file: str) -> None:
    """A collector may have parsed a line of JSON: then its fields are the body."""
    name = file.removesuffix(".log")
    lines = [line for line in (LOGS / file).read_text().splitlines() if line.startswith("{")]
    watch = Watch(plan_in(tmp_path, logs=parse_watched([f"{name}=otlp:{SERVICE}"])), now_s=(now := Now()))

    send(watch, export_of([as_value(json.loads(line)) for line in lines]))
    decided(watch, now)

    assert lines
    assert told(verdicts_in(tmp_path)) == of_file(name, file)
    watch.close()


def test_both_logs_of_a_service_are_laid_over_each_other(tmp_path: Path) -> None:
    """An error line and the access line of its request, in one request to the watch or in two, are one verdict."""
    access = (LOGS / "nginx.log").read_text().splitlines()
    error = (LOGS / "nginx-error.log").read_text().splitlines()
    files = [f"nginx={LOGS / 'nginx-error.log'}", f"nginx={LOGS / 'nginx.log'}"]
    watch = Watch(plan_in(tmp_path, logs=parse_watched([f"nginx=otlp:{SERVICE}"])), now_s=(now := Now()))

    send(watch, export_of(access[:1]))  # a service that has sent both keeps both
    send(watch, export_of(error))
    send(watch, export_of(access[1:]))
    decided(watch, now)

    assert len(verdicts_in(tmp_path)) == len(attribute_files([], parse_logs(files)).verdicts)
    watch.close()


def test_a_line_without_a_name_is_joined_by_its_records_trace(tmp_path: Path) -> None:
    """Nginx' own combined form names no trace; what collects it may, and then two layers' lines are one request."""
    combined = (LOGS / "nginx-combined.log").read_text().splitlines()[:1]
    logs = parse_watched([f"outer:nginx=otlp:{SERVICE}", "inner:nginx=otlp:inner-gateway"])
    watch = Watch(plan_in(tmp_path, logs=logs), now_s=(now := Now()))

    send(watch, export_of(combined, trace_id=TRACE))
    send(watch, export_of(combined, service="inner-gateway", trace_id=TRACE))
    decided(watch, now)

    assert [row["trace"] for row in verdicts_in(tmp_path)] == [TRACE]
    assert "whocut_unnamed_lines_total 0" in watch.exposition()
    watch.close()


def test_what_was_acknowledged_is_judged_after_a_restart(tmp_path: Path) -> None:
    """A watch that ended in between has the request in its journal, and the next one judges it once."""
    logs = parse_watched([f"nginx=otlp:{SERVICE}"])
    now = Now()
    watch = Watch(plan_in(tmp_path, logs=logs), now_s=now)
    send(watch, export_of([nginx_line(1), nginx_line(2)]))
    watch.close()

    watch = Watch(plan_in(tmp_path, logs=logs), now_s=now)
    decided(watch, now)

    assert len(verdicts_in(tmp_path)) == 2
    assert watch.journal.held_bytes == 0
    watch.close()


def test_an_unknown_service_is_told_and_counted(tmp_path: Path) -> None:
    """Its lines are not kept; those of a service that is known are, from the same request."""
    watch = Watch(plan_in(tmp_path, logs=parse_watched([f"nginx=otlp:{SERVICE}"])), now_s=(now := Now()))
    both = export_of([nginx_line(1)])
    both["resourceLogs"] += export_of(["what", "ever"], service="app")["resourceLogs"]

    strange = send(watch, both)
    decided(watch, now)

    assert strange == 2
    assert len(verdicts_in(tmp_path)) == 1
    assert "whocut_unknown_service_lines_total 2" in watch.exposition()
    watch.close()


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ([f"nginx=otlp:{SERVICE}", f"envoy=otlp:{SERVICE}"], "the service is named twice: edge-gateway"),
        (["ngimx=otlp:x"], "nginx"),
        (["otlp:x"], "write FORMAT=FILE"),
    ],
)
def test_a_mistake_in_what_is_watched_is_one_sentence(written: list[str], why: str) -> None:
    """Two logs of one service, a format that there is not, no format."""
    with pytest.raises(BadInput, match=why):
        parse_watched(written)


@pytest.mark.parametrize(
    "broken",
    [
        {"resourceLogs": 7},
        {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": {"intValue": "x"}}]}]}]},
        {
            "resourceLogs": [
                {"scopeLogs": [{"logRecords": [{"traceId": "xyz", "body": {"stringValue": "a"}}]}]}
            ]
        },
        {"resourceLogs": [{"resource": {"attributes": [{"value": {}}]}, "scopeLogs": []}]},
        {"resourceLogs": [{"scopeLogs": [{"logRecords": ["line"]}]}]},
    ],
    ids=["no list", "a number that is none", "no trace", "no key", "no record"],
)
def test_a_request_of_another_type_is_refused(broken: dict[str, Any]) -> None:
    """Each field has the type that OTLP gives it."""
    with pytest.raises(ValueError, match="not "):
        lines_of(broken)


def over_http(tmp_path: Path, act: Callable[[str], None]) -> Watch:
    """A watch that listens, and what asks it in a thread."""
    watch = Watch(plan_in(tmp_path, logs=parse_watched([f"nginx=otlp:{SERVICE}"])), now_s=Now())

    async def main() -> None:
        receiver = await watch.listen()
        try:
            await asyncio.to_thread(act, receiver.endpoint)
        finally:
            await receiver.close()

    run_real(main())
    return watch


def posted(url: str, body: bytes, kind: str) -> bytes:
    """The answer to one request."""
    asked = urllib.request.Request(f"{url}/v1/logs", data=body, headers={"Content-Type": kind})
    with urllib.request.urlopen(asked) as answer:
        return bytes(answer.read())


@pytest.mark.sockets
@pytest.mark.parametrize("kind", [JSON, PROTOBUF])
def test_the_answer_says_what_was_not_taken(tmp_path: Path, kind: str) -> None:
    """A partial success, as OTLP wants it, in the form in which the request came."""
    answers: list[bytes] = []
    export = export_of(["a", "b"], service="app")
    message = ExportLogsServiceRequest()
    body = message.resource_logs.add()
    pair = body.resource.attributes.add()
    pair.key, pair.value.string_value = "service.name", "app"
    records = body.scope_logs.add().log_records
    for text in ("a", "b"):
        records.add().body.string_value = text
    sent = orjson.dumps(export) if kind == JSON else message.SerializeToString()

    watch = over_http(tmp_path, lambda url: answers.append(posted(url, sent, kind)))
    watch.close()

    if kind == JSON:
        assert json.loads(answers[0])["partialSuccess"]["rejectedLogRecords"] == "2"
    else:
        told = ExportLogsServiceResponse.FromString(answers[0]).partial_success
        assert told.rejected_log_records == 2
        assert "--logs FORMAT=otlp:SERVICE" in told.error_message


PROGRAM = """
import logging, sys
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
url, service, line = sys.argv[1:]
provider = LoggerProvider(resource=Resource.create({"service.name": service}))
provider.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter(endpoint=url + "/v1/logs")))
logger = logging.getLogger("access")
logger.addHandler(LoggingHandler(logger_provider=provider))
logger.warning(line)
provider.shutdown()
"""


@pytest.mark.sockets
def test_the_official_exporter_is_understood(tmp_path: Path) -> None:
    """A line that another program logs by OpenTelemetry's SDK comes in its own protobuf."""
    command = [sys.executable, "-c", PROGRAM]

    def export(url: str) -> None:
        subprocess.run([*command, url, SERVICE, nginx_line(1)], check=True)

    watch = over_http(tmp_path, export)
    watch.decide(all_of_them=True)

    assert len(verdicts_in(tmp_path)) == 1
    assert watch.received.lines == 1
    watch.close()
