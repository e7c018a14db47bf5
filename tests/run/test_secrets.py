"""No key and no prompt in any output of a run, although the endpoint repeats both in every form."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO, TextIOWrapper
from itertools import product
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

import pytest

from tests.commands import whocut
from tests.processes import wait_until
from tests.test_redact import FORMS
from whocut.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.sockets

KEY: Final = "Zq8vN3kL0pXw7RtB2yHd"
_PROMPT: Final = re.compile(r"take \d+ of [0-9a-f]{8}")  # how the prompts of the shipped scenarios end


class Parrot(BaseHTTPRequestHandler):
    """Answers each image request with the key that it got, in the next form, and with the prompt."""

    numbered: Iterator[tuple[int, str]]
    lock = threading.Lock()

    def do_POST(self) -> None:
        """A refusal, or each third time a gateway's page."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        key = self.headers["Authorization"].removeprefix("Bearer ")
        with self.lock:
            number, form = next(self.numbered)
        said = f"{form.format(key)} {body['prompt']}"
        page = number % 3 == 0
        answer = f"<html>{said}</html>" if page else json.dumps({"error": dict.fromkeys(_FIELDS, said)})
        self.send_response(502 if page else 400)
        self.send_header("Content-Type", "text/html" if page else "application/json")
        one_line = said.replace("\n", " ")
        for name in ("Via", "X-Request-Id", "X-Cache"):
            self.send_header(name, one_line)
        self.send_header("Content-Length", str(len(answer.encode())))
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, *_: object) -> None:
        """Nothing."""


_FIELDS: Final = ("message", "type", "code", "param")


@pytest.fixture
def parrot() -> Iterator[str]:
    """Where it listens."""
    handler = type("Numbered", (Parrot,), {"numbered": iter(enumerate([*FORMS.values()] * 3))})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        finally:
            server.shutdown()
            thread.join()


def test_forty_two_forms_of_a_key_and_a_prompt_are_in_no_output(parrot: str, tmp_path: Path) -> None:
    """Files of the run, both outputs of each command that reads it, and what is attributed from its spans."""
    command = ["run", "image_generation", "--to", parrot, "--clock", "scaled:100", "--mode", "no-retry"]
    command += ["--budget-usd", "50", "--new-account", "--account", "account.jsonl", "--out", "run"]
    command += ["--users", "3", "--requests", str(len(FORMS))]

    done = [whocut(*command, cwd=tmp_path, check=None, key=KEY)]
    readers = (
        ["why", "run"],
        ["why", "run", "--json"],
        ["report", "run"],
        ["attribute", "--spans", "run/spans.jsonl", "--json"],
    )
    done += [whocut(*reader, cwd=tmp_path, check=None) for reader in readers]

    attempts = (tmp_path / "run" / "attempts.jsonl").read_text()
    assert len(attempts.splitlines()) >= len(FORMS)
    assert '"status":502' in attempts
    assert '"status":400' in attempts
    nowhere(tmp_path, *done)


def asked_with_every_form(base_url: str) -> int:
    """Requests to a base URL that carry the key in the next form each, wherever a client could put it; how many."""
    where = urlsplit(base_url)
    for form in FORMS.values():
        said = form.format(KEY).replace("\n", " ")
        connection = HTTPConnection(where.hostname or "", where.port, timeout=60)
        body = json.dumps({"model": "gpt-image-2", "prompt": f"take 1 of {'ab' * 4}, {said}"})
        headers = dict.fromkeys(("Referer", "User-Agent", "tracestate", "Cookie"), said)
        headers |= {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json", "traceparent": said}
        connection.request("POST", f"{where.path}/images/generations?{quote(said)}", body, headers)
        connection.getresponse().read()
        connection.close()
    return len(FORMS)


def nowhere(tmp_path: Path, *done: subprocess.CompletedProcess[str]) -> None:
    """Hold all files below a folder, and what was printed, to the claim."""
    texts = {str(path): path.read_text("utf-8", "replace") for path in tmp_path.rglob("*") if path.is_file()}
    texts |= {" ".join(map(str, one.args[2:5])): one.stdout + one.stderr for one in done}
    for place, text in texts.items():
        assert KEY not in text, place
        assert not _PROMPT.search(text), place


@contextmanager
def standing(*command: str, cwd: Path) -> Iterator[str]:
    """A command of whocut that serves until it gets a Ctrl-C; its base URL. What it says goes into files."""
    with (cwd / "stdout").open("w+") as out, (cwd / "stderr").open("w+") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "whocut", *command],
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=errors,
        )
        try:
            wait_until(lambda: (cwd / "stdout").read_text().count("\n") > 0)
            yield json.loads((cwd / "stdout").read_text().splitlines()[0])["base_url"]
            process.send_signal(signal.SIGINT)
            process.wait(60)
        finally:
            process.kill()
            process.wait()


def test_no_form_that_passes_a_tap_is_in_what_it_writes(parrot: str, tmp_path: Path) -> None:
    """In the path, each header, the prompt and the answer: neither in its spans nor in their attribution."""
    with standing(
        "tap", "--listen", "127.0.0.1:0", "--to", parrot, "--json", "--out", "t", cwd=tmp_path
    ) as url:
        count = asked_with_every_form(url)

    read = whocut("attribute", "--spans", "t/spans.jsonl", "--json", cwd=tmp_path, check=None)

    assert len((tmp_path / "t" / "spans.jsonl").read_text().splitlines()) >= count
    nowhere(tmp_path, read, whocut("attribute", "--spans", "t/spans.jsonl", cwd=tmp_path, check=None))


def test_no_form_that_comes_to_a_chain_is_in_its_run(tmp_path: Path) -> None:
    """`up`, with its page's report and what explains it."""
    with standing("up", "edge-100", "--clock", "scaled:100", "--json", "--out", "run", cwd=tmp_path) as url:
        asked_with_every_form(url)

    readers = (
        ["why", "run", "--json"],
        ["why", "run"],
        ["report", "run"],
        ["export", "run", "--out", "x.jsonl"],
    )
    nowhere(tmp_path, *(whocut(*reader, cwd=tmp_path, check=None) for reader in readers))


@pytest.mark.parametrize("in_environment", [KEY, ""], ids=["in the environment", "known by its look alone"])
def test_no_form_in_a_paste_is_in_what_triage_says(
    in_environment: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In words and as JSON, whether the cause is known or not."""
    monkeypatch.setenv("OPENAI_API_KEY", in_environment)
    for form, way in product(FORMS.values(), ([], ["--json"], ["--mask"])):
        for around in ("HTTP/1.1 504 Gateway Time-out\nServer: nginx\n{}\n\nafter 60.0 s", "{}"):
            paste = around.format(form.format(KEY))
            monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(paste.encode())))
            monkeypatch.setattr(sys, "argv", ["whocut", "triage", *way])

            with pytest.raises(SystemExit):
                main()

            said = capsys.readouterr()
            assert KEY not in said.out + said.err, (form, way)


def test_no_form_in_a_gateway_s_log_is_in_its_attribution(tmp_path: Path) -> None:
    """In the request's line, the referer, the agent and an error log; words, JSON and the file of verdicts."""
    access, errors = [], []
    for number, form in enumerate(FORMS.values()):
        said = quote(form.format(KEY), safe=" :=&?/'(){}").replace('"', "%22").replace("%0A", " ")
        at = f"26/Nov/2026:10:00:{number % 60:02d} +0000"
        line = f"/v1/images/generations?{said.replace(' ', '+')}"
        access.append(f'127.0.0.1 - - [{at}] "POST {line} HTTP/1.1" 504 160 "{said}" "{said}"')
        errors.append(
            f"2026/11/26 10:00:{number % 60:02d} [error] 7#7: *{number} upstream timed out (110: Connection timed "
            f"out) while reading response header from upstream, client: 127.0.0.1, server: x, request: "
            f'"POST {line} HTTP/1.1", upstream: "http://127.0.0.1:1/v1", host: "x", referrer: "{said}"'
        )
    (tmp_path / "access.log").write_text("\n".join(access) + "\n")
    (tmp_path / "error.log").write_text("\n".join(errors) + "\n")
    asked = ["attribute", "--logs", "nginx=access.log", "--logs", "nginx=error.log"]

    done = [whocut(*asked, *more, cwd=tmp_path, check=None) for more in ([], ["--json"])]

    assert all(one.returncode in (0, 1) for one in done), done[0].stderr
    (tmp_path / "access.log").unlink()
    (tmp_path / "error.log").unlink()
    nowhere(tmp_path, *done)


def test_no_form_that_a_client_prints_is_in_its_score_card(tmp_path: Path) -> None:
    """A program that says its key on both outputs, in every form, and dies of it."""
    said = "\n".join(form.format(KEY) for form in FORMS.values())
    (tmp_path / "client.py").write_text(
        "import json, os, sys, urllib.request\n"
        f"said = {said!r}\n"
        "print(said); print(said, file=sys.stderr)\n"
        "ask = urllib.request.Request(os.environ['OPENAI_BASE_URL'] + '/images/generations',\n"
        "    json.dumps({'model': 'gpt-image-2', 'prompt': 'take 1 of abababab'}).encode(),\n"
        "    {'Authorization': 'Bearer ' + os.environ['OPENAI_API_KEY'], 'Content-Type': 'application/json'})\n"
        "try: urllib.request.urlopen(ask)\n"
        "except Exception as error: raise RuntimeError(said) from error\n"
    )
    asked = [
        "policy",
        "--command",
        f"{sys.executable} client.py",
        "--check",
        "never-401",
        "--check",
        "told-refused",
    ]
    out = ["--markdown", "card.md", "--junit", "card.xml"]

    done = [whocut(*asked, *more, cwd=tmp_path, check=None) for more in (out, ["--json"])]

    assert (tmp_path / "card.md").exists()
    (tmp_path / "client.py").unlink()
    nowhere(tmp_path, *done)
