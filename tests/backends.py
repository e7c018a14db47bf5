"""``python -m tests.backends``: a run's spans, exported to a real backend, read back from it, and judged alike.

Phoenix installs from the package index (650 MB, so in an environment of its own under build/) and speaks OTLP/HTTP
in protobuf. The check starts it on the loopback, exports a small run to it by the standard ``OTEL_*`` variables,
and compares every parent and child with what lies in the run directory. Then `whocut attribute --from` fetches it:
each verdict is that of the run's own file.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from whocut.clock.clock import pause, wall_s
from whocut.trace.rundir import RunDir

HERE = Path("build/backends")
PORT = 6306
_START_REAL_S = 300.0
_SEEN_REAL_S = 120.0
_QUERY = """
query($after: String) { projects { edges { node { spans(first: 1000, after: $after) {
  edges { node { spanId parentId name } } pageInfo { hasNextPage endCursor } } } } } }
"""


def main() -> int:
    """Install, start, export, compare."""
    phoenix = _environment() / "bin" / "phoenix"
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "PHOENIX_PORT": str(PORT),
            "PHOENIX_GRPC_PORT": str(PORT + 1),
            "PHOENIX_HOST": "127.0.0.1",
            "PHOENIX_WORKING_DIR": folder,
            "PHOENIX_TELEMETRY_ENABLED": "false",
        }
        with (Path(folder) / "phoenix.log").open("wb") as log:
            server = subprocess.Popen([phoenix, "serve"], env=environment, stdout=log, stderr=log)
        try:
            _wait_until_up()
            return _compare(Path(folder) / "run")
        finally:
            server.terminate()
            server.wait(20)


def _environment() -> Path:
    place = HERE / "phoenix"
    if not (place / "bin" / "phoenix").exists():
        sys.stderr.write("installing arize-phoenix into build/backends (once; minutes)\n")
        subprocess.run([sys.executable, "-m", "venv", place], check=True)
        subprocess.run([place / "bin" / "pip", "-qq", "install", "arize-phoenix"], check=True)
    return place


def _wait_until_up() -> None:
    until = wall_s() + _START_REAL_S
    while wall_s() < until:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/healthz"):
                return
        except (urllib.error.URLError, ConnectionError):
            pause(0.5)
    raise TimeoutError("phoenix did not begin to serve within five minutes")


def _compare(folder: Path) -> int:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "whocut",
            "run",
            "--requests",
            "8",
            "--users",
            "8",
            "--out",
            folder,
            "--json",
        ],
        env={**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{PORT}"},
        stdout=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode not in {0, 1}:  # every request of the article's chain is cut, which is a finding
        return done.returncode
    ours = {(span.span_id, span.parent_id, span.name) for span in RunDir.open(folder).spans()}
    until = wall_s() + _SEEN_REAL_S
    theirs: set[tuple[str, str | None, str]] = set()
    while wall_s() < until and not ours <= theirs:
        pause(1)
        theirs = _read_back()
    missing = ours - theirs
    sys.stdout.write(
        f"{len(ours)} spans in the run, {len(ours & theirs)} of them in Phoenix with their parents\n"
    )
    return 1 if missing or not _judged_alike(folder) else 0


def _judged_alike(folder: Path) -> bool:
    """The verdicts from the backend against those from the file: every trace, and then the suspicious ones."""
    from_file = _verdicts("--spans", str(folder / "spans.jsonl"))
    # On a scaled clock a run's spans lie ahead of the calendar.
    source = ("--from", f"phoenix=http://127.0.0.1:{PORT}", "--since", "1h", "--until", "2100-01-01")
    every, suspicious = _verdicts(*source, "--all"), _verdicts(*source)
    cut = {key: said for key, said in from_file.items() if said[0] != "none"}
    alike = every == from_file and bool(cut) and cut.items() <= suspicious.items() <= from_file.items()
    sys.stdout.write(
        f"{len(from_file)} verdicts from the file, {len(cut)} of them cuts; {len(every)} from Phoenix, "
        f"{len(suspicious)} of suspicious traces: {'alike' if alike else 'NOT alike'}\n"
    )
    return alike


def _verdicts(*arguments: str) -> dict[tuple[str, int], tuple[str, str]]:
    done = subprocess.run(
        [sys.executable, "-m", "whocut", "attribute", "--json", *arguments],
        stdout=subprocess.PIPE,
        check=True,
    )
    found = json.loads(done.stdout)["verdicts"]
    return {(one["request"], one["attempt"]): (one["kind"], one["phrase"]) for one in found}


def _read_back() -> set[tuple[str, str | None, str]]:
    found: set[tuple[str, str | None, str]] = set()
    after: str | None = None
    while True:
        answer = _ask({"query": _QUERY, "variables": {"after": after}})
        pages = [edge["node"]["spans"] for edge in answer["data"]["projects"]["edges"]]
        for page in pages:
            for edge in page["edges"]:
                node = edge["node"]
                found.add((node["spanId"], node["parentId"] or None, node["name"]))
        last: dict[str, Any] = pages[0]["pageInfo"] if pages else {"hasNextPage": False}
        if not last["hasNextPage"]:
            return found
        after = last["endCursor"]


def _ask(body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{PORT}/graphql",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        came: dict[str, Any] = json.load(answer)
    return came


if __name__ == "__main__":
    sys.exit(main())
