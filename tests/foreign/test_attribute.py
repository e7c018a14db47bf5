"""`whocut attribute`: spans of anybody and logs of any gateway, joined and judged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from tests.verdict.drawn import drawn
from whocut.cli import app
from whocut.errors import BadFile, BadInput
from whocut.foreign.files import Attributed, attribute_files, parse_logs
from whocut.trace import otlp
from whocut.verdict.verdict import Grade, Kind, Verdict

LOGS = Path(__file__).parents[1] / "data" / "logs"
EPOCH_UNIX_S = 1_795_345_500


def span(own: int, kind: int | str, service: str, parent: int | None = None, **has: Any) -> dict[str, Any]:
    """One foreign span, as a Collector writes it; `lasts` is its duration, the rest are attributes."""
    lasts = has.pop("lasts", 60.0)
    start = has.pop("start", 0.0)
    trace = has.pop("trace", 1)
    attributes = {"http.request.method": "POST"} | {
        key.replace("_", "."): value for key, value in has.items()
    }
    if "status" in has:
        attributes["http.response.status_code"] = attributes.pop("status")
    return {
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]},
        "scopeSpans": [
            {
                "spans": [
                    {
                        "traceId": f"{trace:032x}",
                        "spanId": f"{own:016x}",
                        **({"parentSpanId": f"{parent:016x}"} if parent else {}),
                        "name": "POST",
                        "kind": kind,
                        "startTimeUnixNano": str(round((EPOCH_UNIX_S + start) * 1e9)),
                        "endTimeUnixNano": str(round((EPOCH_UNIX_S + start + lasts) * 1e9)),
                        "attributes": [
                            {
                                "key": key,
                                "value": {"intValue" if isinstance(value, int) else "stringValue": value},
                            }
                            for key, value in attributes.items()
                        ],
                        "status": {},
                    }
                ]
            }
        ],
    }


def judged(tmp_path: Path, *spans: dict[str, Any], logs: tuple[str, ...] = ()) -> Attributed:
    """What comes of these spans, one export request a line, and of these logs."""
    path = tmp_path / "spans.jsonl"
    path.write_text("".join(json.dumps({"resourceSpans": [one]}) + "\n" for one in spans))
    return attribute_files([path] if spans else [], parse_logs(logs))


def the_verdict(attributed: Attributed) -> Verdict:
    """The only one."""
    (verdict,) = attributed.verdicts
    return verdict


def test_a_timed_out_call_under_a_504_is_that_layers_cut(tmp_path: Path) -> None:
    """Server span 504, client span without a status and `error.type` timeout: the layer's own span says so."""
    attributed = judged(
        tmp_path,
        span(1, 3, "client", status=504),
        span(2, 2, "gateway", 1, status=504),
        span(3, "SPAN_KIND_CLIENT", "gateway", 2, error_type="timeout"),
        span(4, 2, "app", 3, status=200, lasts=195.0),
    )

    verdict = the_verdict(attributed)

    assert (verdict.layer, verdict.timer, verdict.grade) == ("gateway", "first_byte", Grade.TESTIFIED)
    assert verdict.after_s == 60
    assert [layer.name for layer in attributed.topology.layers] == ["client", "gateway", "app"]


def test_internal_spans_between_layers_do_not_matter(tmp_path: Path) -> None:
    """A layer's internal spans are stepped over, up to the next HTTP span."""
    internal = span(9, 1, "gateway", 2)
    internal["scopeSpans"][0]["spans"][0]["attributes"] = []

    attributed = judged(
        tmp_path,
        span(2, 2, "gateway", status=504),
        internal,
        span(3, 3, "gateway", 9, error_type="httpx.ReadTimeout"),
    )

    assert the_verdict(attributed).layer == "gateway"


def test_a_client_that_timed_out_is_the_client(tmp_path: Path) -> None:
    """The outermost span is a call that timed out: nobody further in is accused."""
    attributed = judged(
        tmp_path,
        span(1, 3, "sdk", error_type="ReadTimeout"),
        span(2, 2, "gateway", 1, status=499),
        span(3, 3, "gateway", 2, error_type="CancelledError"),
    )

    verdict = the_verdict(attributed)

    assert (verdict.layer, verdict.grade) == ("sdk", Grade.TESTIFIED)


def test_envoys_flags_are_read_from_its_span(tmp_path: Path) -> None:
    """`response_flags` UT is the route's timeout, as in its log."""
    server = span(2, 2, "envoy", status=504)
    server["scopeSpans"][0]["spans"][0]["attributes"].append(
        {"key": "response_flags", "value": {"stringValue": "UT"}}
    )

    verdict = the_verdict(judged(tmp_path, server))

    assert (verdict.layer, verdict.timer, verdict.directive) == ("envoy", "total", "route timeout")


def test_retries_are_attempts_of_their_own(tmp_path: Path) -> None:
    """Three outermost calls of one trace are three attempts."""
    calls = [span(number, 3, "sdk", start=number * 61.0, error_type="ReadTimeout") for number in (1, 2, 3)]

    attributed = judged(tmp_path, *calls)

    assert [verdict.attempt for verdict in attributed.verdicts] == [1, 2, 3]


def test_a_lone_504_is_unattributed_with_what_is_missing(tmp_path: Path) -> None:
    """A server span that says 504 and nothing else may have relayed it."""
    verdict = the_verdict(judged(tmp_path, span(2, 2, "gateway", status=504)))

    assert verdict.kind is Kind.UNATTRIBUTED
    assert verdict.missing


def test_a_log_joins_the_spans_of_its_trace(tmp_path: Path) -> None:
    """The app has spans, nginx a log with the trace id: nginx cut, the app's caller left."""
    log = tmp_path / "access.log"
    log.write_text(nginx_line(trace=1, status=504, duration=60.0, header="-"))

    attributed = judged(
        tmp_path,
        span(1, 3, "client", status=504),
        span(4, 2, "app", 1, status=499, lasts=60.0),
        logs=(f"nginx={log}",),
    )

    verdict = the_verdict(attributed)
    assert [layer.name for layer in attributed.topology.layers] == ["client", "nginx", "app"]
    assert (verdict.layer, verdict.timer, verdict.grade) == ("nginx", "first_byte", Grade.TESTIFIED)


def nginx_line(
    *,
    trace: int | None = None,
    status: int,
    duration: float,
    header: str = "1.0",
    at: float = 60.0,
    **more: Any,
) -> str:
    """One line of the recommended format."""
    row = {
        "time": EPOCH_UNIX_S + at,
        "trace": f"00-{trace:032x}-{trace:016x}-01" if trace else "",
        "request_id": "",
        "pid": 1,
        "connection": 1,
        "method": "POST",
        "path": "/v1/images/generations",
        "status": status,
        "completion": "OK",
        "bytes": 100,
        "duration": duration,
        "upstream": "x",
        "upstream_status": "504" if header == "-" else str(status),
        "upstream_header_time": header,
        "upstream_response_time": "60",
    }
    return json.dumps(row | more) + "\n"


def haproxy_line(
    *, at: float = 0.0, status: int, state: str, duration: float, trace: int | None = None
) -> str:
    """One line of the recommended format; `at` is when it was accepted."""
    header = f"00-{trace:032x}-{trace:016x}-01" if trace else ""
    row = {"time": EPOCH_UNIX_S + at, "trace": header, "request_id": "", "path": "/v1/images/generations"}
    return (
        json.dumps(row | {"status": status, "bytes": 1, "state": state, "Ta": round(duration * 1000)}) + "\n"
    )


def two_logs(tmp_path: Path, nginx: str, haproxy: str) -> Attributed:
    """Nginx before HAProxy, logs alone."""
    (tmp_path / "n.log").write_text(nginx)
    (tmp_path / "h.log").write_text(haproxy)
    return judged(tmp_path, logs=(f"nginx={tmp_path / 'n.log'}", f"haproxy={tmp_path / 'h.log'}"))


def test_two_logs_of_one_trace_are_one_attempt(tmp_path: Path) -> None:
    """HAProxy cut, nginx relayed its 504: HAProxy, testified."""
    attributed = two_logs(
        tmp_path,
        nginx_line(trace=7, status=504, duration=50.01, at=50.01),
        haproxy_line(trace=7, status=504, state="sH--", duration=50.0),
    )

    verdict = the_verdict(attributed)

    assert (verdict.layer, verdict.directive, verdict.grade) == ("haproxy", "timeout server", Grade.TESTIFIED)


def test_logs_without_ids_join_by_time(tmp_path: Path) -> None:
    """One request at that second, of that path: joined by time, and the evidence says so."""
    attributed = two_logs(
        tmp_path,
        nginx_line(status=504, duration=50.01, at=50.01),
        haproxy_line(status=504, state="sH--", duration=50.0),
    )

    verdict = the_verdict(attributed)

    assert (verdict.layer, verdict.grade) == ("haproxy", Grade.TESTIFIED)
    assert any("joined by time" in fact.fact for fact in verdict.evidence)


def test_logs_that_fit_several_requests_infer_at_most(tmp_path: Path) -> None:
    """Two requests in one second: which line is whose cannot be told, and no verdict is testified by it."""
    attributed = two_logs(
        tmp_path,
        nginx_line(status=504, duration=50.01, at=50.01) + nginx_line(status=504, duration=50.02, at=50.12),
        haproxy_line(status=504, state="sH--", duration=50.0)
        + haproxy_line(at=0.1, status=504, state="SH--", duration=50.0),
    )

    assert len(attributed.verdicts) == 2
    assert {verdict.grade for verdict in attributed.verdicts} <= {Grade.INFERRED, Grade.TESTIFIED}
    assert Grade.INFERRED in {verdict.grade for verdict in attributed.verdicts}


def test_a_blind_haproxy_behind_a_499_cut_for_nobody(tmp_path: Path) -> None:
    """Nginx's caller left after 20 s; HAProxy's `sH` 30 s later changes nothing."""
    attributed = two_logs(
        tmp_path,
        nginx_line(trace=7, status=499, duration=20.0, at=20.0, completion=""),
        haproxy_line(trace=7, status=504, state="sH--", duration=50.0),
    )

    verdict = the_verdict(attributed)

    assert (verdict.layer, verdict.timer) == ("client", None)


def test_own_spans_of_a_run_are_read_on_their_own_clock(tmp_path: Path) -> None:
    """A run's spans.jsonl alone gives the verdict the run itself gave: proven."""
    trace = drawn("""
        one column is 5 s
        client    |============|
        edge      |============|
        nginx     |============x first_byte
        upstream  |===========l=========================|
    """)
    path = tmp_path / "spans.jsonl"
    path.write_bytes(otlp.encode_line(trace.spans, EPOCH_UNIX_S))

    verdict = the_verdict(attribute_files([path], []))

    assert (verdict.layer, verdict.grade, verdict.after_s) == ("nginx", Grade.PROVEN, 65)


# --- the command ------------------------------------------------------------------------------------------


def run(*arguments: str) -> Any:
    """Run the command."""
    return CliRunner().invoke(app, ["attribute", *arguments])


def test_command_prints_one_verdict_a_request_as_json() -> None:
    """Each verdict has layer, timer, phase, grade, evidence and contradictions."""
    done = run(
        "--json", "--logs", f"nginx={LOGS / 'nginx.log'}", "--logs", f"nginx={LOGS / 'nginx-error.log'}"
    )

    found = json.loads(done.stdout)
    assert done.exit_code == 0
    assert len(found["verdicts"]) == 10
    assert {"layer", "timer", "phase", "grade", "evidence", "contradictions", "phrase"} <= set(
        found["verdicts"][0]
    )
    assert not {verdict["grade"] for verdict in found["verdicts"]} & {"proven"}


@pytest.mark.parametrize(
    ("logs", "spans", "says"),
    [
        (b"this is no log\nnor this\n", None, "none of 2 lines could be read"),
        (b"", None, "no request was found in 0 spans and 0 lines of logs"),
        (None, b"", "no request was found in 0 spans and 0 lines of logs"),
    ],
)
def test_an_answer_about_nothing_is_no_success(
    tmp_path: Path, logs: bytes | None, spans: bytes | None, says: str
) -> None:
    """A wrong format, or a file of something else: the exit code is 1, and a sentence says why."""
    arguments = []
    for option, text, name in (("--logs", logs, "access.log"), ("--spans", spans, "spans.jsonl")):
        if text is not None:
            (tmp_path / name).write_bytes(text)
            arguments += [option, f"nginx={tmp_path / name}" if option == "--logs" else str(tmp_path / name)]

    done, as_json = run(*arguments), run("--json", *arguments)

    assert (done.exit_code, as_json.exit_code) == (1, 1)
    assert says in done.stderr
    assert json.loads(as_json.stdout)["unusable"].startswith(says)


def test_command_tells_people_how_many_of_each() -> None:
    """Commonest first, with an example's evidence."""
    done = run("--logs", f"haproxy={LOGS / 'haproxy.log'}")

    assert done.exit_code == 0
    assert "haproxy cut by first_byte after 1 s, while waiting · testified" in done.stdout


def test_command_takes_a_chain(tmp_path: Path) -> None:
    """Limits come from the chain; a log of somebody else's layer is a mistake with the nearest name."""
    chain = tmp_path / "mine.yaml"
    chain.write_text("layers: [cloudflare-free, nginx]\n")

    done = run("--json", "--chain", str(chain), "--logs", f"nginx={LOGS / 'nginx.log'}")
    wrong = run("--chain", str(chain), "--logs", f"haproxy={LOGS / 'haproxy.log'}")

    cut = next(one for one in json.loads(done.stdout)["verdicts"] if one["timer"] == "first_byte")
    assert (cut["layer"], cut["limit_s"]) == ("nginx", 60)
    assert isinstance(wrong.exception, BadInput)


@pytest.mark.parametrize("written", ["nginx", "=x", "nginx=", "ngnix=x.log", "edge:=x.log", "a:b:c=x"])
def test_a_badly_written_log_is_bad_input(written: str) -> None:
    """The form is named, or the nearest format."""
    with pytest.raises(BadInput, match="logs: "):
        parse_logs([written])


def test_nothing_to_read_is_bad_input() -> None:
    """Without spans and logs there is nothing to say."""
    assert isinstance(run().exception, BadInput)


def test_a_broken_line_of_spans_is_named_and_an_unfinished_last_one_left_out(tmp_path: Path) -> None:
    """FILE:LINE for the one, silence for the other."""
    good = json.dumps({"resourceSpans": [span(1, 3, "client", status=200)]})
    (tmp_path / "cut.jsonl").write_text(good + "\n" + good[:50])
    (tmp_path / "bad.jsonl").write_text(good + "\nnonsense\n")

    attributed = attribute_files([tmp_path / "cut.jsonl"], [])

    assert attributed.spans == 1
    with pytest.raises(BadFile, match=r"bad.jsonl:2"):
        attribute_files([tmp_path / "bad.jsonl"], [])


def test_lines_that_cannot_be_read_are_reported(tmp_path: Path) -> None:
    """Counted and named, and the rest is judged."""
    log = tmp_path / "x.log"
    log.write_text("nonsense\n" + nginx_line(status=504, duration=60, header="-"))

    attributed = judged(tmp_path, logs=(f"nginx={log}",))

    assert (attributed.unreadable, len(attributed.verdicts)) == (1, 1)
    assert any(f"{log}:1" in line for line in attributed.as_words())


@given(
    st.lists(
        st.tuples(
            st.integers(1, 5),
            st.sampled_from([1, 2, 3, "SPAN_KIND_SERVER"]),
            st.sampled_from(["a", "b", "client"]),
            st.none() | st.integers(1, 5),
            st.sampled_from([200, 499, 502, 504]),
            st.sampled_from(["", "timeout", "CancelledError", "ECONNRESET"]),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_no_shape_of_spans_makes_it_fail_or_prove(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Any]
) -> None:
    """Loops, orphans and strangers among spans end in some verdict, and none is proven."""
    spans = [
        span(own, kind, service, parent, status=status, **({"error_type": error} if error else {}))
        for own, kind, service, parent, status, error in rows
    ]

    attributed = judged(tmp_path_factory.mktemp("spans"), *spans)

    assert all(verdict.grade is not Grade.PROVEN for verdict in attributed.verdicts)
