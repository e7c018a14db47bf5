"""Forecast, proof and command agree: exact time, the real SDK, real sockets, no waiting."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from tests.chain.fixtures import chain, layer
from whocut.chain.chainfile import read_topology
from whocut.chain.layers import Buffering, MidBody
from whocut.chain.modes import MODES
from whocut.chain.profiles import ARTICLE, Profile, parse_profile
from whocut.chain.shipped import CHAINS as CHAIN_FILES
from whocut.cli import app
from whocut.errors import BadFile
from whocut.proof.check import Plan, check, surprises
from whocut.proof.proof import Case, prove
from whocut.show.check import cut_words
from whocut.trace.records import Outcome
from whocut.verdict.verdict import Grade

if TYPE_CHECKING:
    from pathlib import Path

    from whocut.chain.layers import Topology

CHAINS = {path.stem: path for path in sorted(CHAIN_FILES.glob("*.yaml"))}
PROFILES = [*ARTICLE, "1024-high@observed-2026"]
SLOW = Profile(name="195 s", median_s=195, constant=True)


def shipped(name: str) -> Topology:
    """A chain that comes with the package."""
    return read_topology(CHAINS[name])


def whocut(*arguments: str) -> tuple[int, str]:
    """Exit code and what was printed."""
    done = CliRunner().invoke(app, ["check", *arguments], env={"COLUMNS": "110"})
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout


def as_json(*arguments: str) -> tuple[int, dict[str, Any]]:
    """Exit code and the JSON that was printed."""
    code, text = whocut(*arguments, "--json")
    return code, json.loads(text)


@pytest.mark.parametrize("caller", ["openai-sdk", "light"])
def test_default_retries_behind_a_100_s_edge_are_three_posts(caller: Any) -> None:
    """At 0, about 100.4 and about 201.3 s; three billed; a 524 after about 301 s; nothing delivered."""
    proof = prove(
        Case(topology=shipped("edge-100"), profile=SLOW, mode=MODES["plain"], requests=1, caller=caller)
    )

    (asking,) = proof.world.askings
    begun_s = [record.started_s for record in asking.attempts]
    assert begun_s[0] == 0
    assert 100.37 <= begun_s[1] <= 100.51
    assert 201.12 <= begun_s[2] <= 201.51
    assert [record.status for record in asking.attempts] == [524, 524, 524]
    assert asking.attempts[-1].ended_s == pytest.approx(begun_s[2] + 100, abs=0.001)
    assert [row["billed"] for row in proof.world.rows] == [True, True, True]
    assert [row["orphaned_s"] for row in proof.world.rows] == pytest.approx([95.0] * 3, abs=0.001)
    assert {(verdict.layer, verdict.grade) for verdict in proof.last} == {("edge", Grade.PROVEN)}


@pytest.mark.parametrize("mode", sorted(MODES))
@pytest.mark.parametrize("name", sorted(CHAINS))
def test_forecast_and_proof_agree_request_by_request(name: str, mode: str) -> None:
    """On every shipped chain, in every mode, for every profile: the formula foretells each fate."""
    topology = shipped(name)
    for written in PROFILES:
        case = Case(
            topology=topology,
            profile=parse_profile(written, topology.upstream),
            mode=MODES[mode],
            requests=2 if MODES[mode].job else 4,
            seed=1,
        )

        proof = prove(case)

        assert surprises(case, proof) == set(), written
        assert proof.disagree == 0, proof.judged.figures.agreement
        assert proof.unattributed == 0


LAYERS = st.fixed_dictionaries(
    {
        "buffering": st.sampled_from(list(Buffering)),
        "mid_body": st.sampled_from(list(MidBody)),
        "notices_abort": st.booleans(),
        "closes_upstream_with_reset": st.booleans(),
        "idle_waits": st.booleans(),
    },
    # Whole tenths of a second that no two timers share: of two that fire together neither comes first.
    optional={kind: st.integers(50, 3_000) for kind in ("first_byte", "idle", "total")},
)


@settings(deadline=None, max_examples=25, derandomize=True)
@given(
    layers=st.lists(LAYERS, max_size=4),
    mode=st.sampled_from(sorted(name for name, mode in MODES.items() if not mode.job)),
    profile=st.sampled_from(list(ARTICLE.values())),
    heartbeat_s=st.sampled_from([None, 17.3]),
)
def test_no_chain_surprises_the_formula(
    layers: list[dict[str, Any]], mode: str, profile: Profile, heartbeat_s: float | None
) -> None:
    """Blind, buffering, resetting, ending as if whole, in any order: request by request the proof is foretold."""
    hops = []
    for number, facts in enumerate(layers):
        limits = {
            kind: facts[kind] / 10 + number / 100 + place / 1000
            for place, kind in enumerate(("first_byte", "idle", "total"))
            if kind in facts
        }
        hops.append(layer(f"l{number}", **{**facts, **limits}))
    case = Case(topology=chain(*hops, heartbeat_s=heartbeat_s), profile=profile, mode=MODES[mode], requests=3)

    proof = prove(case)

    assert surprises(case, proof) == set()
    assert proof.disagree == 0


@pytest.mark.parametrize("mode", ["plain", "stream-2", "async"])
@pytest.mark.parametrize("name", ["haproxy-blind", "heartbeats"])
def test_a_request_whose_generation_is_unknown_is_a_surprise(name: str, mode: str) -> None:
    """The formula has nothing to go by, and says so instead of a fate."""
    case = Case(topology=shipped(name), profile=SLOW, mode=MODES[mode], requests=2)
    proof = prove(case)

    assert surprises(case, proof) == set()
    assert surprises(case, replace(proof, drawn={})) == {0, 1}


@pytest.mark.parametrize("mode", ["plain", "stream-2", "stream-3"])
def test_forecast_and_proof_agree_within_sampling_error(mode: str) -> None:
    """Thousands of generations by formula, two hundred seen: the difference is chance."""
    report = check(
        Plan(topology=shipped("article-today"), modes=(MODES[mode],), requests=200, caller="light")
    )

    (case,) = report.cases
    assert case.difference.within_sampling_error
    assert case.difference.requests == 0
    assert report.warnings == ()


@pytest.mark.parametrize("mode", ["plain", "stream-3"])
def test_the_light_caller_is_the_sdk(mode: str) -> None:
    """Same chain, same draws: the same fates, the same attempts, the same bill."""
    figures = [
        prove(
            Case(
                topology=shipped("article"),
                profile=ARTICLE["1024-high"],
                mode=MODES[mode],
                requests=12,
                caller=caller,
            )
        ).figures
        for caller in ("openai-sdk", "light")
    ]

    sdk, light = figures
    assert (sdk.delivered, sdk.cuts) == (light.delivered, light.cuts)
    assert sdk.generations_per_request == light.generations_per_request
    assert sdk.orphaned_s_per_request == pytest.approx(light.orphaned_s_per_request, abs=0.01)
    assert sdk.usd_per_delivered == light.usd_per_delivered


def test_every_cut_is_proven() -> None:
    """The hops on both sides of the cutter saw it, and the ledger agrees."""
    proof = prove(
        Case(topology=shipped("article"), profile=ARTICLE["1024-high"], mode=MODES["plain"], requests=5)
    )

    assert {verdict.grade for verdict in proof.judged.verdicts} == {Grade.PROVEN}
    assert proof.judged.figures.agreement.disagree == ()


def test_two_limits_of_one_length_are_a_tie_and_said_to_be() -> None:
    """ALB and ingress both fire at 60 s: the outer one is named, with the other, and nothing is claimed proven."""
    proof = prove(
        Case(topology=shipped("four-layers"), profile=ARTICLE["1024-high"], mode=MODES["plain"], requests=5)
    )

    assert {(verdict.layer, verdict.tie) for verdict in proof.last} == {
        ("aws-alb", ("aws-alb", "ingress-nginx"))
    }
    assert {verdict.grade for verdict in proof.last} == {Grade.TESTIFIED}


def test_a_client_with_a_limit_for_the_whole_answer_cuts_itself() -> None:
    """Aiohttp's 300 s are a total: a stream does not outlive them, and the proof sees what the formula says."""
    topology = chain(client=layer("client", total=150))
    case = Case(topology=topology, profile=SLOW, mode=MODES["stream-3"], requests=3)

    proof = prove(case)

    assert {(v.layer, str(v.timer), str(v.phase)) for v in proof.last} == {("client", "total", "stream")}
    assert surprises(case, proof) == set()


def test_a_layer_that_retries_a_post_is_proved_too() -> None:
    """Two tries of 60 s an attempt, three attempts: six generations, as foretold."""
    topology = chain(layer("gateway", idle=60, tries=2))
    case = Case(topology=topology, profile=SLOW, mode=MODES["plain"], requests=3)

    proof = prove(case)

    assert proof.figures.generations_per_request == 6
    assert surprises(case, proof) == set()


def test_heartbeats_pass_every_idle_limit() -> None:
    """The article's stack with an SSE comment every 15 s delivers all that it lost."""
    proof = prove(
        Case(
            topology=shipped("heartbeats"),
            profile=ARTICLE["1024-high"],
            mode=MODES["stream-0"],
            requests=10,
            caller="openai-sdk",
        )
    )

    assert proof.figures.delivered == 1
    assert all(
        record.outcome is Outcome.DELIVERED for asking in proof.world.askings for record in asking.attempts
    )


def test_the_json_is_the_contract_s() -> None:
    """Cases, their forecast, findings, and whether all is well."""
    code, report = as_json("article", "--mode", "plain", "--n", "10", "--want", "delivered>=0.5")

    assert code == 1
    assert report["ok"] is False
    (case,) = report["cases"]
    figures = {
        "requests",
        "delivered",
        "cuts",
        "generations_per_request",
        "orphaned_s_per_request",
        "usd_per_delivered",
    }
    assert figures | {"profile", "mode", "forecast"} <= set(case)
    assert figures <= set(case["forecast"])
    (cut,) = case["cuts"]
    assert (cut["layer"], cut["timer"], cut["directive"], cut["share"]) == (
        "nginx",
        "first_byte",
        "proxy_read_timeout",
        1.0,
    )
    assert {"code", "layer", "directive", "why", "fix", "file", "line"} <= set(report["findings"][0])


def test_what_is_kept_exits_0() -> None:
    """A job passes the article's chain."""
    code, report = as_json(
        "article", "--mode", "async", "--n", "3", "--want", "delivered>=0.999", "--want", "p95_s<900"
    )

    assert (code, report["ok"]) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "answer", "code"),
    [
        (["edge-60", "--mode", "no-retry"], "cannot", 1),
        (["edge-60", "--mode", "no-retry", "--want", "generations_per_request<=1"], "cannot", 1),
        (["edge-60", "--mode", "no-retry", "--want", "delivered<=0.1"], "loses", 0),
        (["edge-60", "--mode", "no-retry", "--want", "delivered>=0.1"], "misses", 1),
        (["edge-60", "--mode", "async"], "carries", 0),
    ],
)
def test_a_chain_that_cannot_carry_its_times_is_no_success(
    arguments: list[str], answer: str, code: int
) -> None:
    """Exit 1 where the first line says so, also when nothing is wanted; a wish says how many are enough."""
    got, report = as_json(*arguments, "--n", "3")

    assert (report["answer"], got, report["ok"]) == (answer, code, code == 0)


def test_a_limit_above_a_doubtful_cap_is_never_the_all_clear(tmp_path: Path) -> None:
    """A browser's 300 s are a report: 900 s are taken, told as beyond, and exit 1."""
    path = mine(tmp_path, "client: {preset: browser, timers: {first_byte: 900s}}\nlayers: []\n")

    code, report = as_json(path, "--mode", "plain", "--n", "3")

    assert (code, report["answer"]) == (1, "beyond")
    assert report["findings"][0]["code"] == "limit-above-cap"
    assert (report["findings"][0]["file"], report["findings"][0]["line"]) == (path, 1)


def test_a_fix_is_found_proved_and_written_as_the_vendor_writes_it() -> None:
    """One line for one nginx; the proof delivers."""
    code, report = as_json(
        "edge-60",
        "--mode",
        "plain",
        "--n",
        "20",
        "--fix",
        "--want",
        "delivered>=0.99",
        "--profile",
        "1024-medium",
    )

    assert code == 1  # as it stands the chain misses what is wanted
    (fixed,) = report["fixes"]
    assert fixed["holds"] is True
    assert fixed["after"]["delivered"] >= 0.99
    assert len(fixed["changes"]) == 1


def test_a_fix_by_configuration_alone_is_shown_beside_one_that_changes_a_program() -> None:
    """Heartbeats are one change; two limits raised are two, and need no programmer."""
    _, report = as_json("k8s-ingress", "--mode", "plain", "--n", "5", "--fix")

    smallest, alone = report["fixes"]
    assert (smallest["how"], len(smallest["changes"])) == ("smallest", 1)
    assert (alone["how"], [change["layer"] for change in alone["changes"]]) == (
        "configuration alone",
        ["aws-alb", "ingress-nginx"],
    )
    assert 'proxy-read-timeout: "390"' in alone["changes"][1]["line"]
    assert alone["holds"]


def test_a_person_reads_the_answer_first() -> None:
    """Sentence, table, findings with fixes; no words wider than the terminal."""
    _, text = whocut("article", "--n", "5", "--mode", "plain", "--mode", "stream-2", "--fix")

    lines = text.splitlines()
    assert lines[0] == "article: this chain cannot carry these generation times."
    assert "nginx cuts 100% of requests by proxy_read_timeout" in text
    assert "3 generations are paid for each request" in " ".join(text.split())
    assert "fix: proxy_read_timeout 390s;" in text
    assert "10 of 10 requests ended as the formula says" in " ".join(text.split())
    assert "proved: 100% delivered" in text
    assert max(len(line) for line in lines if not pasted(line)) <= 110


def pasted(line: str) -> bool:
    """Whether this is a line to paste."""
    return line.startswith((" " * 6, "    fix: ", "next: "))


@pytest.mark.parametrize("columns", [80, 120])
def test_the_report_fits_the_terminal(columns: int) -> None:
    """At eighty columns who cuts stays; a line to paste is whole, on one line, and nothing follows it."""
    done = CliRunner().invoke(
        app, ["check", "k8s-ingress", "--n", "4", "--mode", "plain", "--fix"], env={"COLUMNS": str(columns)}
    )

    lines = done.stdout.splitlines()
    (head,) = [line for line in lines if line.startswith("profile")]
    (case,) = [line for line in lines if line.startswith("1024-high")]
    assert case.split()[:3] == ["1024-high", "plain", "0%"]
    assert case.endswith("aws-alb first_byte 100%")
    assert case.index("aws-alb") == head.index("who cuts")
    assert max(len(line) for line in lines if not pasted(line)) <= columns
    assert [line for line in lines if line != line.rstrip()] == []
    knob = "aws elbv2 modify-load-balancer-attributes --attributes Key=idle_timeout.timeout_seconds,Value=420"
    assert {f"    fix: {knob}", f"      {knob}"} <= set(lines)


def test_in_a_pipe_no_line_is_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that is a program gets every column, and each sentence on one line."""
    monkeypatch.delenv("COLUMNS", raising=False)

    lines = CliRunner().invoke(app, ["check", "four-layers", "--n", "4"]).stdout.splitlines()

    assert lines[4].split() == [
        "profile",
        "mode",
        "delivered",
        "forecast",
        "gen/req",
        "orphaned",
        "p95",
        "per",
        "image",
        "who",
        "cuts",
    ]
    assert "aws-alb cuts 100% of requests by idle_timeout.timeout_seconds" in lines[1]
    assert lines[1].endswith("3 generations are paid for each request.")
    assert [line for line in lines if line != line.rstrip()] == []


def mine(tmp_path: Path, text: str) -> str:
    """A chain file of one's own."""
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_an_unknown_limit_is_no_all_clear(tmp_path: Path) -> None:
    """The first line says what the forecast does not know."""
    path = mine(
        tmp_path, "layers: [{name: theirs, timers: {idle: unknown, total: {limit: unknown, directive: X}}}]\n"
    )

    code, text = whocut(path, "--mode", "plain", "--n", "3", "--profile", "constant:195s")

    first = " ".join(text.split("\n\n")[0].split())
    assert code == 0
    assert first.endswith("as far as its limits are known; unknown: X of theirs, idle of theirs.")
    assert "unknown-limit  theirs: X" in text


@pytest.mark.parametrize("model", ["gpt-image-1", "gpt-imge-2", "dall-e-9"])
def test_a_model_that_the_mock_does_not_serve_is_refused(tmp_path: Path, model: str) -> None:
    """No forecast and no proof of a model that nobody can time: exit 2, with the place."""
    done = CliRunner().invoke(app, ["check", mine(tmp_path, f"layers: [nginx]\nupstream: {model}\n")])

    assert isinstance(done.exception, BadFile)
    assert (done.exception.line, done.exception.exit_code) == (2, 2)
    assert done.stdout == ""


def test_an_unknown_model_is_forecast_with_a_profile(tmp_path: Path) -> None:
    """The profile says how long it takes: cut as foretold, at a price that is not known."""
    path = mine(
        tmp_path,
        "layers: [{preset: nginx, timers: {idle: 200s}}]\nupstream: {model: dall-e-9, size: 512x512}\n",
    )

    code, report = as_json(path, "--mode", "plain", "--n", "5", "--profile", "constant:195s")

    (case,) = report["cases"]
    assert (code, case["delivered"], case["forecast"]["delivered"]) == (0, 1, 1)
    assert (case["usd_per_delivered"], case["forecast"]["usd_per_delivered"]) == (None, None)
    assert "'dall-e-9' is unknown" in report["warnings"][0]


def test_a_request_that_nobody_cut_is_not_said_to_be_cut() -> None:
    """A refusal by the API is told as one, with its outcome."""
    topology = chain()
    case = Case(topology=topology, profile=Profile(name="x", size="1x1"), mode=MODES["plain"], requests=1)

    proof = prove(case)

    (cut,) = proof.figures.cuts
    assert cut_words(cut).startswith("100% of requests end without a cut: rejected")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["artcle"], "did you mean 'article'"),
        (["article", "--mode", "streem"], "did you mean 'stream-"),
        (["article", "--profile", "1024-hihg"], "did you mean '1024-high'"),
        (["article", "--want", "deliverd>=1"], "did you mean 'delivered'"),
        (["article", "--want", "share_429==0"], "share_429 is not measured here"),
        (["article", "--caller", "sdk"], "there is no caller 'sdk'"),
    ],
)
def test_bad_input_is_one_sentence(arguments: list[str], says: str) -> None:
    """Named with the way out, before any work is done."""
    done = CliRunner().invoke(app, ["check", *arguments])

    assert says in str(done.exception)
    assert getattr(done.exception, "exit_code", None) == 2


@pytest.mark.sockets
def test_ctrl_c_ends_a_long_check_in_one_sentence() -> None:
    """Progress on stderr meanwhile; exit code 3, no traceback, nothing on stdout."""
    process = subprocess.Popen(
        [sys.executable, "-m", "whocut", "check", "four-layers", "--n", "20000", "--mode", "plain"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    progress = process.stderr.readline()

    process.send_signal(signal.SIGINT)
    printed, words = process.communicate(timeout=60)

    assert "proving 1024-high, plain: " in progress
    assert process.returncode == 3
    assert "stopped before the check was whole" in words
    assert "Traceback" not in words
    assert printed == ""
