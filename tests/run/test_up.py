"""A chain kept up for a stranger: seen from outside, judged at the end like any other run."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import openai
import pytest

from tests.excused import unless_it_says_so
from tests.path.gateways import needed
from tests.processes import wait_until
from tests.run.test_to import tap_before
from whocut.chain.catalogue import overridden, preset
from whocut.chain.plain import topology_of
from whocut.chain.timers import TimerKind
from whocut.clock import Clock, new_loop
from whocut.path.gateways import GATEWAYS
from whocut.path.gateways.process import start
from whocut.trace.otlp import encode_line
from whocut.trace.records import ForeignSpan
from whocut.trace.rundir import RunDir
from whocut.verdict.of_run import judge_run
from whocut.verdict.verdict import Grade

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.sockets


def test_stranger_s_request_is_judged_and_its_spans_are_taken(tmp_path: Path) -> None:
    """A client that knows nothing of us asks once: edge, 100 s, proven; a foreign span lies beside ours."""
    with subprocess.Popen(
        [sys.executable, "-m", "whocut", "up", "edge-100", "--clock", "scaled:100", "--otlp", "0", "--out", "run",
         "--json"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as serving:  # fmt: skip
        assert serving.stdout is not None
        told = json.loads(serving.stdout.readline())
        ask = urllib.request.Request(
            f"{told['base_url']}/images/generations",
            data=b'{"model": "gpt-image-2", "prompt": "a cat", "quality": "high", "size": "1024x1024"}',
            headers={"Authorization": "Bearer sk-a-stranger", "Content-Type": "application/json"},
        )

        with pytest.raises(urllib.error.HTTPError) as refused, urllib.request.urlopen(ask):
            pass
        refused.value.close()
        foreign = ForeignSpan(
            trace_id="a" * 32, span_id="b" * 16, parent_id=None, layer="elsewhere",
            name="GET /", start_s=1.0, end_s=2.0,
        )  # fmt: skip
        export = urllib.request.Request(
            f"{told['otlp']}/v1/traces",
            data=encode_line([foreign], 0.0),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(export) as answer:
            taken = answer.status
        # The generation behind the cut runs on; stopped before, its cost is not known.
        wait_until(lambda: b'"settled"' in (tmp_path / "run" / "ledger.jsonl").read_bytes())
        serving.send_signal(signal.SIGINT)
        words, complaints = serving.communicate(timeout=60)

    summary = json.loads(words)
    assert (refused.value.code, taken) == (524, 200), complaints
    assert serving.returncode == (not summary["valid"]), complaints  # a machine that stalls says so
    assert "elsewhere" in {span.layer for span in RunDir.open(tmp_path / "run").spans()}
    assert (tmp_path / "run" / "report.html").exists()
    with unless_it_says_so(summary):
        (row,) = summary["verdicts"]
        assert (row["layer"], row["timer"], row["grade"], row["attempts"]) == (
            "edge",
            "first_byte",
            "proven",
            1,
        )
        assert summary["agreement"]["disagree"] == []


LIMIT_S = 4.0  # shorter than any generation, and longer than a busy machine stands still
ASKED = 20


@contextmanager
def nginx_before(port: int) -> Iterator[int]:
    """The real nginx with that limit; its port."""
    limits: dict[TimerKind, float | None] = {TimerKind.FIRST_BYTE: LIMIT_S, TimerKind.IDLE: LIMIT_S}
    layer = overridden(preset("nginx"), limits, "this test")
    loop = new_loop()
    running = loop.run_until_complete(
        start(GATEWAYS["nginx"], layer, upstream=("127.0.0.1", port), clock=Clock())
    )
    try:
        yield running.port
    finally:
        loop.run_until_complete(running.close())
        loop.close()


def answer_to(base_url: str) -> int:
    """The status that the SDK gets, asking once."""
    with openai.OpenAI(base_url=base_url, api_key="sk-a-stranger", max_retries=0, timeout=60) as sdk:
        try:
            sdk.images.generate(model="gpt-image-2", prompt="a cat", quality="high", size="1024x1024")
        except openai.APIStatusError as error:
            return error.status_code
    return 200


@pytest.mark.gateway
def test_a_gateway_before_the_door_is_named_and_never_the_client(tmp_path: Path) -> None:
    """Twenty 504s of a real nginx, and a tap outside of it that exports: nginx by its timer; unsaid, its place."""
    needed("nginx")
    (tmp_path / "bare.yaml").write_text("layers: []\n")
    command = [sys.executable, "-m", "whocut", "up", "bare.yaml", "--otlp", "0", "--out", "run"]
    command += ["--json", "--between", f"outer,door=nginx:first_byte={LIMIT_S:g}s,idle={LIMIT_S:g}s"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as serving:
        assert serving.stdout is not None
        told = json.loads(serving.stdout.readline())
        door, otlp = (urlsplit(told[name]).port for name in ("base_url", "otlp"))
        assert door is not None
        assert otlp is not None
        with (
            nginx_before(door) as port,
            tap_before(f"http://127.0.0.1:{port}/v1", tmp_path, "outer", 1, otlp) as outside,
            ThreadPoolExecutor(ASKED) as callers,
        ):
            got = list(callers.map(answer_to, [outside] * ASKED))
        wait_until(lambda: (tmp_path / "run" / "spans.jsonl").read_bytes().count(b'"outer') >= 1)
        serving.send_signal(signal.SIGINT)
        words, complaints = serving.communicate(timeout=100)

    assert got == [504] * ASKED, complaints
    summary = json.loads(words)
    run = RunDir.open(tmp_path / "run")
    topology = topology_of(run.manifest)
    unsaid = judge_run(run, replace(topology, between=())).verdicts
    assert {verdict.layer for verdict in unsaid} == {"what is between outer and the run's own door"}
    with unless_it_says_so(summary):
        (row,) = summary["verdicts"]
        assert (row["layer"], row["timer"], row["grade"], row["attempts"]) == (
            "nginx",
            "first_byte",
            "proven",
            ASKED,
        )
        assert {verdict.grade for verdict in unsaid} == {Grade.PROVEN}
