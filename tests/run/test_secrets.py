"""No key and no prompt in any output of a run, although the endpoint repeats both in every form."""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final

import pytest

from tests.commands import whocut
from tests.test_redact import FORMS

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

    said = {" ".join(one.args[2:5]): one.stdout + one.stderr for one in done}
    files = {
        str(path.relative_to(tmp_path)): path.read_text("utf-8", "replace")
        for path in tmp_path.rglob("*")
        if path.is_file()
    }
    assert len((tmp_path / "run" / "attempts.jsonl").read_text().splitlines()) >= len(FORMS)
    assert '"status":502' in files["run/attempts.jsonl"]
    assert '"status":400' in files["run/attempts.jsonl"]
    for place, text in (said | files).items():
        assert KEY not in text, place
        assert not _PROMPT.search(text), place
