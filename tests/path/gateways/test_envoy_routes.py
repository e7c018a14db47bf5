"""HTTPRoutes become Envoy's configuration: what is read in the one must be read in the other, route by route."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.config.cases import Case, Question, cases
from tests.proof.migration import TRANSLATED, WAYS
from whocut.chain.timers import TimerKind
from whocut.config.reading import Asked
from whocut.config.sources import read_files
from whocut.path.gateways.envoy_routes import are_routes, envoy_of

if TYPE_CHECKING:
    from pathlib import Path

    from whocut.chain.layers import Layer

ASKED = [
    (case, question)
    for case in cases()
    if case.kind == "kubernetes-routes" and all(are_routes(text) for text in case.files.values())
    for question in case.questions
    if any(line.startswith("envoy-gateway ") for line in question.expected)
]
KINDS = (TimerKind.CONNECT, TimerKind.FIRST_BYTE, TimerKind.IDLE, TimerKind.TOTAL)


def said(layer: Layer) -> dict[str, Any]:
    """What must be the same in both."""
    limits: dict[str, Any] = {str(kind): layer.limit_s(kind) for kind in KINDS}
    return limits | {"tries": layer.retries.tries, "on_timeout": layer.retries.on_timeout}


def through_envoy(text: str, asked: Asked, folder: Path) -> Layer:
    """The layer that is read in the configuration that is made of the objects."""
    (folder / "envoy.json").write_text(json.dumps(envoy_of(text, None).data))
    (layer,) = read_files([f"envoy={folder / 'envoy.json'}"], asked).layers
    return layer


@pytest.mark.parametrize(
    ("case", "question"), ASKED, ids=[f"{case.name} {question.path or ''}" for case, question in ASKED]
)
def test_both_are_read_alike(case: Case, question: Question, tmp_path: Path) -> None:
    """Two makers that share no line: the reader of routes, and Envoy Gateway's way with the reader of Envoy."""
    case.write(tmp_path)
    (text,) = case.files.values()
    asked = Asked(host=question.host, path=question.path)

    (read,) = read_files([str(tmp_path / name) for name in case.files], asked).layers

    assert said(through_envoy(text, asked, tmp_path)) == said(read)


def test_a_translation_is_read_alike_on_each_of_its_ways(tmp_path: Path) -> None:
    """Of several ports the one of the route that is meant; redirects for the other port are in another listener."""
    text = TRANSLATED.read_text()

    for way in WAYS:
        asked = Asked(host=way.host, path=way.path)
        found = read_files([str(TRANSLATED)], asked)
        (route,) = found.taken
        (tmp_path / "envoy.json").write_text(json.dumps(envoy_of(text, route.line).data))
        (layer,) = read_files([f"envoy={tmp_path / 'envoy.json'}"], asked).layers
        assert said(layer) == said(found.layers[0]), way.name
        assert layer.limit_s(TimerKind.TOTAL) == way.total_s


REDIRECT = """apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: a }
spec:
  hostnames: [a.example.com, "*.b.example.com"]
  rules:
  - matches: [{ path: { type: Exact, value: /old } }]
    filters:
    - { type: RequestRedirect, requestRedirect: { scheme: https, hostname: c.example.com, statusCode: 308 } }
  - matches: [{ path: { type: PathPrefix, value: /v1/ } }]
    filters: [{ type: URLRewrite, urlRewrite: { path: { type: ReplacePrefixMatch, replacePrefixMatch: /v2 } } }]
    backendRefs: [{ name: a, port: 80 }]
"""


def test_redirects_rewrites_and_hosts_have_envoy_gateway_s_shape() -> None:
    """The longer match first, exact before a prefix; a prefix is one of whole segments."""
    listener = envoy_of(REDIRECT, None).data["static_resources"]["listeners"][0]
    manager = listener["default_filter_chain"]["filters"][0]["typed_config"]
    hosts = manager["route_config"]["virtual_hosts"]

    assert [host["domains"] for host in hosts] == [["a.example.com"], ["*.b.example.com"]]
    redirect, route = hosts[0]["routes"]
    assert redirect["match"] == {"path": "/old"}
    assert redirect["redirect"] == {
        "response_code": "PERMANENT_REDIRECT",
        "scheme_redirect": "https",
        "host_redirect": "c.example.com",
    }
    assert route["match"] == {"path_separated_prefix": "/v1"}
    assert route["route"]["regex_rewrite"]["substitution"] == "/v2/"
    assert "timeout" not in route["route"]  # Envoy's own fifteen seconds
