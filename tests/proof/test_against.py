"""Before and after: which requests lived and now die, by whose timer, at which line, and how sure that is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from whocut.chain.modes import MODES
from whocut.chain.profiles import ARTICLE
from whocut.cli import app
from whocut.config.sources import chain_of
from whocut.errors import BadInput
from whocut.proof.check import plan_of, proved

if TYPE_CHECKING:
    from pathlib import Path

# Seconds between two bytes in ingress-nginx. Its translation by ingress2gateway makes ten times that a total.
READ_S = {
    "preview": 12,
    "thumbs": 15,
    "avatars": 20,
    "banners": 20,
    "posters": 25,
    "frames": 30,
    "stickers": 60,
    "backdrops": 60,
    "prints": 120,
    "murals": 300,
}
INGRESS = """apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {name}
  annotations:
    nginx.ingress.kubernetes.io/proxy-read-timeout: "{read_s}"
    nginx.ingress.kubernetes.io/proxy-buffering: "off"
spec:
  ingressClassName: nginx
  rules:
    - host: img.example.com
      http:
        paths:
          - path: /v1/{name}
            pathType: Prefix
            backend: {{service: {{name: {name}, port: {{number: 80}}}}}}
---
"""
ROUTE = """apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: {name}
spec:
  hostnames: [img.example.com]
  rules:
    - matches:
        - path: {{type: PathPrefix, value: /v1/{name}}}
      timeouts:
        request: {total_s}s
      backendRefs: [{{name: {name}, port: 80}}]
---
"""


@pytest.fixture(autouse=True)
def _migration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An Ingress of ten routes, and its translation."""
    (tmp_path / "ingress.yaml").write_text(
        "".join(INGRESS.format(name=name, read_s=read_s) for name, read_s in READ_S.items())
    )
    (tmp_path / "routes.yaml").write_text(
        "".join(ROUTE.format(name=name, total_s=10 * read_s) for name, read_s in READ_S.items())
    )
    monkeypatch.chdir(tmp_path)


def compare(*arguments: str) -> tuple[int, dict[str, Any]]:
    """Exit code and the JSON of `whocut check`."""
    done = CliRunner().invoke(app, ["check", *arguments, "--json"])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, json.loads(done.stdout)


MIGRATION = ("./ingress.yaml", "--against", "./routes.yaml", "--mode", "stream-0", "--heartbeat", "10s")


def test_leaving_ingress_nginx_names_the_requests_that_now_die(tmp_path: Path) -> None:
    """Heartbeats keep every stream alive between two bytes; a total of ten times as long ends the slow ones."""
    code, said = compare(*MIGRATION, "--profile", "constant:230s", "--n", "3")

    assert code == 1
    assert said["ok"] is False
    assert {case["before"]["delivered"] for case in said["cases"]} == {1.0}
    died = {route: one for one in said["died"] for route in one["routes"]}
    hit = [name for name, read_s in READ_S.items() if 10 * read_s < 230]
    assert set(died) == {f"img.example.com/v1/{name}" for name in hit}
    for name in hit:
        one = died[f"img.example.com/v1/{name}"]
        assert (one["mode"], one["share"], one["layer"]) == ("stream-0", 1.0, "gateway-api")
        assert one["directive"] == "timeouts.request"
        line = (tmp_path / one["file"]).read_text().splitlines()[one["line"] - 1]
        first = next(other for other in READ_S if READ_S[other] == READ_S[name])
        assert line.strip() == f"request: {10 * READ_S[first]}s"


def test_a_share_has_its_interval() -> None:
    """Of generations that differ some die: how sure the share is depends on how many were sent."""
    _, said = compare(*MIGRATION, "--path", "/v1/avatars", "--profile", "1024-high", "--n", "60")

    (died,) = said["died"]
    assert 0.2 < died["low"] < died["share"] < died["high"] < 0.8
    assert died["share"] == 1 - said["cases"][0]["after"]["delivered"]


def test_routes_that_differ_in_nothing_are_looked_at_once() -> None:
    """Ten routes, eight pairs of limits; every route is named."""
    _, said = compare(*MIGRATION, "--n", "1")

    assert len(said["cases"]) == len(set(READ_S.values()))
    assert sorted(route for case in said["cases"] for route in case["routes"]) == sorted(
        f"img.example.com/v1/{name}" for name in READ_S
    )


def test_the_shares_are_those_of_the_same_generations() -> None:
    """Request by request: what dies lived before, and both chains had drawn the same times."""
    plans = [
        plan_of(chain_of([name], path="/v1/avatars").topology, ["1024-high"], ["plain"], None, requests=20)
        for name in ("./ingress.yaml", "./routes.yaml")
    ]
    (one, _), (other, _) = (
        proved(plan, ARTICLE["1024-high"], MODES["plain"], lambda _: None) for plan in plans
    )

    both = one.drawn.keys() & other.drawn.keys()
    assert len(both) >= 20
    assert all(one.drawn[key] == other.drawn[key] for key in both)


def test_what_gets_better_is_no_finding() -> None:
    """The way back: nothing dies, exit 0, and the share that now lives is told."""
    code, said = compare(
        "./routes.yaml",
        "--against",
        "./ingress.yaml",
        *MIGRATION[3:],
        "--profile",
        "constant:230s",
        "--n",
        "2",
    )

    assert code == 0
    assert (said["ok"], said["died"]) == (True, [])
    assert max(case["born"] for case in said["cases"]) == 1


def test_a_route_that_the_next_chain_does_not_have_is_a_death(tmp_path: Path) -> None:
    """Its requests lived, and no route takes them."""
    text = (tmp_path / "routes.yaml").read_text()
    (tmp_path / "routes.yaml").write_text(text.replace("/v1/murals", "/v2/murals"))

    code, said = compare(*MIGRATION, "--n", "3", "--path", "/v1/murals")

    assert code == 1
    assert [(one["directive"], one["share"], one["routes"]) for one in said["died"]] == [
        ("no route takes it", 1.0, ["img.example.com/v1/murals"])
    ]


def test_presets_can_be_compared_too() -> None:
    """Two ways through: an edge more, and who dies of it."""
    code, said = compare("direct", "--against", "heroku", "--mode", "plain", "--n", "20")

    assert code == 1
    assert [(one["layer"], one["share"], one["routes"]) for one in said["died"]] == [("heroku", 1.0, ["*"])]


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ("text", "img.example.com/v1/preview: constant:230s, stream-0: "),
        ("github", "::error file=routes.yaml,line=11,title=requests-now-die::img.example.com/v1/preview"),
        ("markdown", "| img.example.com/v1/preview | constant:230s | stream-0 | 100% → "),
    ],
)
def test_the_deaths_are_told_in_every_form(form: str, says: str) -> None:
    """For people, at a pull request's lines, and in a comment."""
    done = CliRunner().invoke(
        app,
        [
            "check",
            *MIGRATION,
            "--path",
            "/v1/preview",
            "--profile",
            "constant:230s",
            "--n",
            "2",
            "--format",
            form,
        ],
        env={"COLUMNS": "160"},
    )

    assert done.exit_code == 1
    assert says in done.stdout


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--fix"], "it compares two chains; check the one that is to be mended alone"),
        (["--format", "sarif"], "there is no format 'sarif' of two chains compared"),
        (["--heartbeat", "15"], "15 has no unit; write 15s"),
        (["--host", "other.example.com"], "no route takes other.example.com"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(more: list[str], says: str) -> None:
    """Before any work."""
    done = CliRunner().invoke(
        app, ["check", "./ingress.yaml", "--against", "./routes.yaml", "--n", "1", *more]
    )

    assert isinstance(done.exception, BadInput)
    assert says in str(done.exception)
