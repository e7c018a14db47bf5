"""Presets, users' own files and chain files as one chain for one request."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import typer
from typer.testing import CliRunner

from whocut.chain.forecast import forecast
from whocut.chain.modes import MODES
from whocut.chain.plain import topology_from_plain, topology_to_plain
from whocut.chain.profiles import ARTICLE
from whocut.chain.timers import TimerKind
from whocut.cli.read import read
from whocut.config.sources import chain_of
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


def whocut(*arguments: str) -> tuple[int, str]:
    """Exit code and output of `whocut read`."""
    app = typer.Typer()
    app.command()(read)
    done = CliRunner().invoke(app, list(arguments))
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
