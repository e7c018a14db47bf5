"""How fast foreign material is read and judged: ``python -m tests.benchmarks.bench_attribute [SPANS]``.

Writes spans as a Collector's file exporter does (a client's span, and a server's and a client's of two services
a request, 13 attributes each), then reads and attributes them in a process of its own, whose peak memory counts.
Exits 1 above 10 s or 500 MB for 100,000 spans.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from whocut.clock.clock import cpu_s, wall_s
from whocut.foreign.files import attribute_files, parse_logs

EPOCH_UNIX_S = 1_795_345_500
LIMIT_S, LIMIT_MB = 10.0, 500.0
PER_REQUEST = 5


def main() -> int:
    """Write, read in a child, judge the figures."""
    spans = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as folder:
        for name, write in (("foreign", foreign_line), ("own", own_line)):
            path = Path(folder) / f"{name}.jsonl"
            with path.open("wb") as file:
                for number in range(spans // PER_REQUEST):
                    file.write(write(number))
            log = Path(folder) / "nginx.log"
            log.write_text("".join(log_line(number) for number in range(spans // PER_REQUEST)))
            for with_log in (False, True):
                command = [
                    sys.executable,
                    "-m",
                    __spec__.name,
                    "--child",
                    str(path),
                    str(log) if with_log else "",
                ]
                done = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
                size_mb = path.stat().st_size / 1e6
                sys.stdout.write(
                    f"{name} spans{' and a log' if with_log else ''}: {done['spans']} spans ({size_mb:.0f} MB), "
                    f"{done['lines']} lines, {done['verdicts']} verdicts, {done['cut']} cut: "
                    f"{done['took_s']:.2f} s ({done['cpu_s']:.2f} s of CPU), peak {done['peak_mb']:.0f} MB\n"
                )
                scale = max(1.0, spans / 100_000)
                if done["took_s"] > LIMIT_S * scale or done["peak_mb"] > LIMIT_MB * scale:
                    return 1
    return 0


def child(spans: Path, log: str) -> None:
    """Read and attribute, JSON and all, and say what it took."""
    import orjson  # noqa: PLC0415

    started_s, begun_s = wall_s(), cpu_s()
    attributed = attribute_files([spans], parse_logs([f"nginx={log}"]) if log else [])
    orjson.dumps(attributed.as_json())
    took_s, used_s = wall_s() - started_s, cpu_s() - begun_s
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    figures = {
        "took_s": took_s,
        "cpu_s": used_s,
        "peak_mb": peak / (1e6 if sys.platform == "darwin" else 1e3),
        "spans": attributed.spans,
        "lines": attributed.lines,
        "verdicts": len(attributed.verdicts),
        "cut": sum(verdict.kind == "cut" for verdict in attributed.verdicts),
    }
    sys.stdout.write(json.dumps(figures))


def foreign_line(number: int) -> bytes:
    """One request through a client, nginx and an app: nginx gives up every second time."""
    start_s = number * 0.01
    cut = number % 2 == 0
    took_s = 60.0 if cut else 45.0
    rows: tuple[tuple[str, int, int, int | None, dict[str, object], float], ...] = (
        ("client", 3, 1, None, {"http.response.status_code": 504 if cut else 200}, took_s + 0.02),
        ("nginx", 2, 2, 1, {"http.response.status_code": 504 if cut else 200}, took_s + 0.01),
        (
            "nginx",
            3,
            3,
            2,
            {"error.type": "timeout"} if cut else {"http.response.status_code": 200},
            took_s,
        ),
        ("app", 2, 4, 3, {"http.response.status_code": 200}, took_s - 0.01),
        ("app", 3, 5, 4, {"http.response.status_code": 200}, took_s - 0.02),
    )
    resources = [
        {
            "resource": {"attributes": [_text("service.name", service), _text("host.name", "host-1")]},
            "scopeSpans": [
                {
                    "scope": {"name": "auto"},
                    "spans": [_span(number, kind, own, parent, has, start_s, lasted_s)],
                }
            ],
        }
        for service, kind, own, parent, has, lasted_s in rows
    ]
    return json.dumps({"resourceSpans": resources}).encode() + b"\n"


def _span(
    number: int,
    kind: int,
    own: int,
    parent: int | None,
    has: dict[str, object],
    start_s: float,
    lasted_s: float,
) -> dict[str, object]:
    fixed = {
        "http.request.method": "POST",
        "url.path": "/v1/images/generations",
        "url.scheme": "http",
        "server.address": "images.example.com",
        "server.port": 443,
        "network.protocol.version": "1.1",
        "user_agent.original": "OpenAI/Python 3.54.0",
        "client.address": "192.0.2.1",
        "network.peer.address": "10.0.0.1",
        "network.peer.port": 40000,
        "http.request.body.size": 40,
    }
    return {
        "traceId": f"{number + 1:032x}",
        "spanId": f"{number * 8 + own:016x}",
        **({"parentSpanId": f"{number * 8 + parent:016x}"} if parent else {}),
        "name": "POST /v1/images/generations",
        "kind": kind,
        "startTimeUnixNano": str(round((EPOCH_UNIX_S + start_s) * 1e9)),
        "endTimeUnixNano": str(round((EPOCH_UNIX_S + start_s + lasted_s) * 1e9)),
        "attributes": [
            _text(key, value) if isinstance(value, str) else {"key": key, "value": {"intValue": str(value)}}
            for key, value in {**fixed, **has}.items()
        ],
        "status": {"code": 2} if "error.type" in has else {},
    }


def own_line(number: int) -> bytes:
    """The same five, as our own hops write them: attempt, three hops, generation."""
    from whocut.chain.timers import Phase, TimerKind  # noqa: PLC0415
    from whocut.trace import otlp  # noqa: PLC0415
    from whocut.trace.records import (  # noqa: PLC0415
        AttemptRecord,
        Cut,
        DownstreamEnd,
        GenerationRecord,
        LayerRecord,
        Outcome,
        Span,
        UpstreamEnd,
    )

    start_s = number * 0.01
    cut = number % 2 == 0
    spans: list[Span] = []
    for position, layer in enumerate(("client", "edge", "nginx", "app")):
        cuts = cut and layer == "nginx"
        end_s = start_s + (60.0 if cut else 45.0)
        ends = (UpstreamEnd.COMPLETE, DownstreamEnd.ANSWERED)
        if cuts:
            ends = (UpstreamEnd.CUT, DownstreamEnd.OWN_ANSWER)
        elif cut and layer == "app":
            ends = (UpstreamEnd.ABANDONED, DownstreamEnd.LEFT)
        fired = Cut(
            timer=TimerKind.FIRST_BYTE,
            directive="proxy_read_timeout",
            phase=Phase.WAIT,
            limit_s=60.0,
            at_s=end_s,
        )
        facts: dict[str, Any] = {
            "trace_id": f"{number + 1:032x}",
            "span_id": f"{number * 8 + position:016x}",
            "parent_id": f"{number * 8 + position - 1:016x}" if position else None,
            "layer": layer,
            "name": "POST",
            "start_s": start_s,
            "end_s": end_s,
            "position": position,
            "method": "POST",
            "path": "/v1/images/generations",
            "status": 504 if cut else 200,
            "upstream": ends[0],
            "upstream_s": end_s,
            "downstream": ends[1],
            "downstream_s": end_s,
            "cut": fired if cuts else None,
        }
        client: dict[str, Any] = {
            "request": f"plain-{number}",
            "mode": "plain",
            "outcome": Outcome.GATEWAY_ERROR if cut else Outcome.DELIVERED,
        }
        spans.append(LayerRecord(**facts) if position else AttemptRecord(**facts, **client))
    spans.append(
        GenerationRecord(
            trace_id=f"{number + 1:032x}",
            span_id=f"{number * 8 + 4:016x}",
            parent_id=f"{number * 8 + 3:016x}",
            layer="upstream",
            name="generation",
            start_s=start_s,
            end_s=start_s + 195.0,
            generation=f"gen-{number}",
            billed=True,
            delivered=not cut,
            orphaned=cut,
            caller_gone_s=start_s + 60.0 if cut else None,
        )
    )
    return otlp.encode_line(spans, EPOCH_UNIX_S)


def log_line(number: int) -> str:
    """The same request in nginx's log."""
    cut = number % 2 == 0
    row = {
        "time": EPOCH_UNIX_S + number * 0.01 + (60.0 if cut else 45.0),
        "trace": f"00-{number + 1:032x}-{number * 8 + 1:016x}-01",
        "request_id": "",
        "pid": 1,
        "connection": number,
        "method": "POST",
        "path": "/v1/images/generations",
        "status": 504 if cut else 200,
        "completion": "OK",
        "bytes": 167,
        "duration": 60.0 if cut else 45.0,
        "upstream": "10.0.0.1:80",
        "upstream_status": "504" if cut else "200",
        "upstream_header_time": "-" if cut else "45.0",
        "upstream_response_time": "60.0" if cut else "45.0",
    }
    return json.dumps(row) + "\n"


def _text(key: str, value: object) -> dict[str, object]:
    return {"key": key, "value": {"stringValue": str(value)}}


if __name__ == "__main__":
    if "--child" in sys.argv:
        child(Path(sys.argv[2]), sys.argv[3])
    else:
        sys.exit(main())
