"""What an editor accepts, the reader accepts; and what it underlines, the reader refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import yaml

from whocut.chain import shipped
from whocut.chain.chainfile import read_topology
from whocut.chain.schema import chain_schema
from whocut.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path

CHAINS = sorted(shipped.CHAINS.glob("*.yaml"))


def complaints(written: Any) -> list[str]:
    """What the schema says against it."""
    validator = jsonschema.Draft202012Validator(chain_schema())
    return [error.message for error in validator.iter_errors(written)]


def test_the_schema_is_one() -> None:
    """It follows its own specification."""
    jsonschema.Draft202012Validator.check_schema(chain_schema())


@pytest.mark.parametrize("path", CHAINS, ids=lambda path: path.stem)
def test_every_shipped_chain_is_accepted(path: Path) -> None:
    """By the schema and by the reader."""
    assert complaints(yaml.safe_load(path.read_text(encoding="utf-8"))) == []
    assert read_topology(path).name == path.stem


@pytest.mark.parametrize(
    "text",
    [
        "layers: [ngnix]",
        "layers: [openai-python]",
        "client: nginx",
        "lyers: []",
        "layers: [{preset: nginx, timers: {idl: 60s}}]",
        "layers: [{file: ./nginx.conf, timers: {idle: 60s}}]",
        "layers: [{preset: nginx, timers: {idle: 60}}]",
        "layers: [{preset: nginx, timers: {idle: 0}}]",
        "layers: [{preset: nginx, buffering: some}]",
        "layers: [{preset: nginx, retries: {tries: 0}}]",
        "edition: article-2025",
        "layers: [{gateway: ngnix}]",
        "layers: [{gateway: nginx, preset: nginx}]",
        "layers: [{gateway: nginx, buffering: none}]",
        "client: {gateway: nginx}",
        "upstream: {modle: gpt-image-2}",
        "layers: [{name: mine}]",
        "layers: [{timers: {}}]",
        "layers: [{name: mine, timers: {proxy_read_timeout: 3s}}]",
        "layers: [{name: mine, timers: {idle: {directive: x}}}]",
        "layers: [{name: mine, timers: {}, answers: 700}]",
    ],
)
def test_a_mistake_is_refused_by_both(tmp_path: Path, text: str) -> None:
    """The editor's line and the command's sentence are about the same mistakes."""
    path = tmp_path / "chain.yaml"
    path.write_text(text)

    assert complaints(yaml.safe_load(text))
    with pytest.raises(BadInput):
        read_topology(path)


@pytest.mark.parametrize(
    "text",
    [
        "layers: [{preset: nginx, timers: {proxy_read_timeout: 300s}}]",
        "layers: [{name: mine, timers: {}}]",
        "layers: [{name: mine, timers: {idle: 3s, total: {limit: unknown, directive: X}}, answers: 504}]",
        "layers: [{name: mine, timers: {}, answers: {status: 504, body: late}, mid_body: rst, silent: true}]",
        "layers: [{name: mine, timers: {}, answers: {bad_gateway: {status: 502}}, leaves_work: true}]",
        "client: {name: our-cli, timers: {total: 60s}, retries: {tries: 2}}",
    ],
)
def test_what_is_right_is_taken_by_both(tmp_path: Path, text: str) -> None:
    """A layer of one's own and a vendor's knob: the editor does not underline what the command reads."""
    path = tmp_path / "chain.yaml"
    path.write_text(text)

    assert complaints(yaml.safe_load(text)) == []
    read_topology(path)


def test_a_chain_file_says_a_layer_s_manners(tmp_path: Path) -> None:
    """Buffering, retries and blindness are written as timers are, and the rest stays the preset's."""
    path = tmp_path / "chain.yaml"
    path.write_text(
        "layers: [{preset: envoy, buffering: all, notices_abort: false, retries: {tries: 2, post: true}}]\n"
        "upstream: {heartbeat: 15s}\n"
    )

    topology = read_topology(path)

    (envoy,) = topology.hops
    assert (str(envoy.buffering), envoy.notices_abort) == ("all", False)
    assert (envoy.retries.tries, envoy.retries.post, envoy.retries.on_timeout) == (2, True, False)
    assert topology.upstream.heartbeat_s == 15
