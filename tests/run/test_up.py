"""A chain kept up for a stranger: seen from outside, judged at the end like any other run."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest

from tests.excused import unless_it_says_so
from tests.processes import wait_until
from whocut.trace.otlp import encode_line
from whocut.trace.records import ForeignSpan
from whocut.trace.rundir import RunDir

if TYPE_CHECKING:
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
