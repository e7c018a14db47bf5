"""Presets, users' own files and chain files as one chain for one request."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from whocut.chain.audit import audit
from whocut.chain.forecast import forecast
from whocut.chain.modes import MODES
from whocut.chain.plain import topology_from_plain, topology_to_plain
from whocut.chain.profiles import ARTICLE
from whocut.chain.timers import TimerKind
from whocut.cli import app
from whocut.config.sources import chain_of, read_chain
from whocut.errors import BadFile, BadInput

if TYPE_CHECKING:
    from pathlib import Path

NGINX = """
http {
  proxy_read_timeout 75s;
  server {
    server_name img.example.com;
    location /v1/images/ { proxy_pass http://litellm; proxy_read_timeout 400s; }
    location / { proxy_pass http://app; }
  }
}
"""
LITELLM = "model_list:\n  - { model_name: i, litellm_params: { model: gpt-image-2, timeout: 350 } }\n"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two configurations and a chain file, in which the command runs."""
    (tmp_path / "nginx.conf").write_text(NGINX)
    (tmp_path / "config.yaml").write_text(LITELLM)
    (tmp_path / "mine.yaml").write_text("client: httpx\nlayers: [nginx]\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_chain_is_put_together_from_presets_and_files(files: Path) -> None:
    """In the order in which they are written, each limit with its file and line; the client is the official SDK."""
    chain = chain_of(
        ["cloudflare-free", "./nginx.conf", "litellm=./config.yaml"],
        host="img.example.com",
        path="/v1/images/generations",
    )

    topology = chain.topology
    assert [layer.name for layer in topology.layers] == [
        "openai-python",
        "cloudflare-free",
        "nginx",
        "litellm",
    ]
    nginx = topology.hops[1].timers[TimerKind.FIRST_BYTE]
    assert (nginx.limit_s, nginx.file, nginx.line, nginx.source) == (400, "./nginx.conf", 6, "./nginx.conf:6")
    assert topology.hops[2].limit_s(TimerKind.FIRST_BYTE) == 350
    assert topology_from_plain(topology_to_plain(topology)) == topology
    figures = forecast(topology, ARTICLE["1024-high"], MODES["plain"], requests=1_000)
    assert figures.cuts[0].layer == "cloudflare-free"


def test_a_first_source_can_be_the_client(files: Path) -> None:
    """A browser before nginx; a client anywhere else is refused."""
    assert chain_of(["browser", "nginx"]).topology.client.preset == "browser"
    with pytest.raises(BadInput, match="'browser' is a client; a chain has one, and it comes first"):
        chain_of(["nginx", "browser"])


def test_two_layers_of_one_name_are_numbered(files: Path) -> None:
    """A verdict names one of them."""
    chain = chain_of(["nginx", "./nginx.conf"], host="img.example.com", path="/v1/images/x")

    assert [hop.name for hop in chain.topology.hops] == ["nginx-1", "nginx-2"]


@pytest.mark.parametrize("source", ["article", "mine.yaml", "./mine.yaml"])
def test_a_chain_by_name_or_file_is_a_chain(files: Path, source: str) -> None:
    """Alone, as before; among layers it is refused."""
    assert chain_of([source]).topology.name in {"article", "mine"}
    with pytest.raises(BadInput, match="is a whole chain; give it alone"):
        chain_of(["cloudflare", source])


@pytest.mark.parametrize(
    ("sources", "says"),
    [
        (["ngnix"], "did you mean 'nginx'"),
        (["articel"], "did you mean 'article'"),
        (["./nginx.conf"], "the limits depend on the route; say which one with --host and --path"),
        (["./none.conf"], "there is no such file"),
        (["nignx=./nginx.conf"], "there is no format 'nignx' (did you mean 'nginx'?)"),
    ],
)
def test_a_source_that_cannot_be_used_is_one_sentence(files: Path, sources: list[str], says: str) -> None:
    """With the way out."""
    with pytest.raises(BadInput) as refused:
        chain_of(sources)

    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_host_that_no_route_takes_is_named(files: Path) -> None:
    """With the routes that there are."""
    (files / "nginx.conf").write_text("http { server { location /v1 { proxy_pass http://a; } } }")

    with pytest.raises(BadFile, match=r"nginx.conf: no route takes \*/health"):
        chain_of(["./nginx.conf"], path="/health")


CHAIN = """
layers:
  - cloudflare-free
  - ./nginx.conf
  - file: litellm=config.yaml
    name: gate
host: img.example.com
path: /v1/images/generations
"""


def test_a_chain_file_s_layer_can_be_a_file(
    files: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lies beside the chain file, wherever the command runs; the chain file says which request is meant."""
    (files / "ours.yaml").write_text(CHAIN)
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))

    topology = read_chain(files / "ours.yaml")

    assert [layer.name for layer in topology.hops] == ["cloudflare-free", "nginx", "gate"]
    nginx = topology.hops[1].timers[TimerKind.FIRST_BYTE]
    assert (nginx.limit_s, nginx.file, nginx.line) == (400, str(files / "nginx.conf"), 6)
    assert topology.hops[2].limit_s(TimerKind.FIRST_BYTE) == 350


def test_the_command_says_more_of_the_request_than_the_chain_file(files: Path) -> None:
    """A path that is given comes before the one that is written."""
    (files / "ours.yaml").write_text(CHAIN)

    topology = read_chain("ours.yaml", path="/health")

    assert topology.hops[1].limit_s(TimerKind.FIRST_BYTE) == 75


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("layers: [./none.conf]", "none.conf: there is no such file"),
        (
            "layers: [{file: nginx.conf, timers: {idle: 1s}}]",
            "ours.yaml:1: layers[0].timers: what the layer does",
        ),
        ("layers: [nginx.conf]", "nginx.conf: the limits depend on the route"),
        ("client: {file: nginx.conf}", "ours.yaml:1: client: a file holds layers, and no client"),
        (
            "layers: [ngnix=nginx.conf]",
            "ours.yaml:1: layers[0]: there is no format 'ngnix' (did you mean 'nginx'?)",
        ),
    ],
)
def test_a_file_that_cannot_be_a_layer_is_one_sentence(files: Path, text: str, says: str) -> None:
    """With its place, in the chain file or in the file itself."""
    (files / "ours.yaml").write_text(text)

    with pytest.raises(BadInput) as refused:
        read_chain("ours.yaml")

    assert says in str(refused.value)


def test_parts_of_one_configuration_are_one_layer_and_others_one_behind_the_other(files: Path) -> None:
    """Manifests complete each other; a second nginx.conf is a second nginx."""
    for name in ("a.conf", "b.conf"):
        (files / name).write_text("http { server { location / { proxy_pass http://a; } } }\n")
    (files / "route.yaml").write_text(
        "kind: HTTPRoute\napiVersion: gateway.networking.k8s.io/v1\nmetadata: {name: r}\n"
        "spec:\n  rules:\n    - backendRefs: [{name: images}]\n"
    )
    (files / "policy.yaml").write_text(
        "kind: BackendTrafficPolicy\napiVersion: gateway.envoyproxy.io/v1alpha1\nmetadata: {name: p}\nspec:\n"
        "  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: r}]\n"
        "  timeout: {http: {requestTimeout: 330s}}\n"
    )

    assert [hop.name for hop in read_chain(["a.conf", "b.conf"]).hops] == ["nginx-1", "nginx-2"]
    (gateway,) = read_chain(["route.yaml", "policy.yaml"]).hops
    assert gateway.limit_s(TimerKind.TOTAL) == 330


def test_findings_name_the_line_also_where_a_default_holds(files: Path) -> None:
    """A limit that is not written has the place of its route: there the line belongs."""
    (files / "nginx.conf").write_text("http {\n  server {\n    location / { proxy_pass http://a; }\n  }\n}\n")

    found = {one.code: one for one in audit(read_chain("./nginx.conf"), ARTICLE["1024-high"])}

    silent = found["limit-below-generation"]
    assert (silent.layer, silent.file, silent.line) == ("nginx", "./nginx.conf", 3)
    assert found["retries-post"].file == ""  # the client stands in no file


def test_check_takes_presets_and_files(files: Path) -> None:
    """Exit 1 where the chain cannot carry its times; each finding has its file and line."""
    (files / "nginx.conf").write_text(
        "http { server {\n proxy_read_timeout 60s; include x.conf;\n location / { proxy_pass http://a; } } }\n"
    )
    done = CliRunner().invoke(
        app, ["check", "cloudflare-free", "./nginx.conf", "--mode", "plain", "--n", "5", "--json"]
    )

    said = json.loads(done.stdout)

    assert done.exit_code == 1
    assert said["answer"] == "cannot"
    short = [
        one for one in said["findings"] if one["layer"] == "nginx" and one["code"] == "limit-below-generation"
    ]
    assert [(one["file"], one["line"]) for one in short] == [("./nginx.conf", 2)]
    assert [(note["file"], note["line"]) for note in said["not_read"]] == [("./nginx.conf", 2)] * len(
        said["not_read"]
    )
    assert said["not_read"]


def whocut(*arguments: str) -> tuple[int, str]:
    """Exit code and output of `whocut read`."""
    done = CliRunner().invoke(app, ["read", *arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout


def test_read_says_each_limit_with_its_place(files: Path) -> None:
    """For people a line a timer; for machines the contract."""
    asked = ["./nginx.conf", "--host", "img.example.com", "--path", "/v1/images/generations"]

    code, text = whocut(*asked)
    _, printed = whocut(*asked, "--json")

    assert code == 0
    assert "first_byte    400 s  proxy_read_timeout  ./nginx.conf:6" in text
    assert "connect        60 s  proxy_connect_timeout  default" in text
    (layer,) = json.loads(printed)["layers"]
    assert layer["product"] == "nginx"
    assert [route["taken"] for route in json.loads(printed)["routes"]] == [True, False]


def test_read_names_the_routes_where_they_decide(files: Path) -> None:
    """Exit 1: there is no answer yet."""
    code, text = whocut("./nginx.conf")

    assert code == 1
    assert "img.example.com/v1/images/  ./nginx.conf:6" in text
    assert "img.example.com/  ./nginx.conf:7" in text
