"""A new limit in a user's own file: proved by reading it again, shown as a diff, written whole or not at all."""

from __future__ import annotations

import json
import math
import subprocess
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from tests.config.cases import cases
from whocut.cli import app
from whocut.config.patching import Patch, Turn, patch_of
from whocut.config.sources import chain_of
from whocut.errors import BadFile, BadInput

if TYPE_CHECKING:
    from pathlib import Path

    from whocut.config.sources import Chain

CASES = cases()
NEW_S = 4_200.0
NGINX = """http {
    proxy_read_timeout 75s;
    server {
        location /v1/images/ {
            proxy_pass http://images;
        }
        location / { proxy_pass http://app; proxy_read_timeout 1m30s; }
    }
}
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nginx.conf").write_text(NGINX)
    monkeypatch.chdir(tmp_path)


def patched(chain: Chain, layer: str, directive: str, limit_s: float) -> Patch:
    """The patch of one knob."""
    return patch_of(chain.topology, [Turn(layer, directive, limit_s)], chain.read_again)


@pytest.mark.parametrize(
    "kind", sorted({case.kind for case in CASES if case.kind not in {"netlify", "terraform"}})
)
def test_a_written_limit_can_be_changed_where_it_stands(kind: str, tmp_path: Path) -> None:
    """In every format, of seven limits six: what is written is what is then read, and no other has moved."""
    changed: list[bool] = []
    for case in CASES:
        if case.kind != kind:
            continue
        case.write(tmp_path)
        for question in case.questions:
            try:
                chain = chain_of(question.files, host=question.host, path=question.path)
            except BadInput:
                continue
            for layer in chain.topology.hops:
                for timer in layer.timers.values():
                    if not timer.file or timer.line is None:
                        continue
                    # A little longer: much longer, and another timer of the layer would come first.
                    new_s = math.ceil(timer.limit_s) + 1.0
                    patch = patched(chain, layer.name, timer.directive, new_s)
                    changed.append(not patch.by_hand)
                    assert bool(patch.diff) == changed[-1]
                    patch.write()
                    then = chain.read_again().layer(layer.name)
                    assert then is not None
                    assert then.timers[timer.kind].limit_s == (new_s if patch.diff else timer.limit_s)
                    case.write(tmp_path)

    assert sum(changed) >= 0.85 * len(changed) > 3, changed


def test_what_a_program_writes_is_not_changed(tmp_path: Path) -> None:
    """A plan of Terraform's is made anew: its limit is changed where it comes from, by hand."""
    case = next(case for case in CASES if case.kind == "terraform")
    case.write(tmp_path)
    chain = chain_of(case.questions[0].files)
    layer, timer = next(
        (layer, timer) for layer in chain.topology.hops for timer in layer.timers.values() if timer.file
    )

    assert patched(chain, layer.name, timer.directive, NEW_S).diff == ""


def test_an_inherited_limit_gets_a_line_of_its_own(tmp_path: Path) -> None:
    """The other routes keep what they inherit; the diff is one that git applies."""
    chain = chain_of(["./nginx.conf"], path="/v1/images/generations")

    patch = patched(chain, "nginx", "proxy_read_timeout", 390)

    assert patch.diff == (
        "--- a/nginx.conf\n+++ b/nginx.conf\n@@ -2,6 +2,7 @@\n     proxy_read_timeout 75s;\n     server {\n"
        "         location /v1/images/ {\n+            proxy_read_timeout 390s;\n"
        "             proxy_pass http://images;\n         }\n"
        "         location / { proxy_pass http://app; proxy_read_timeout 1m30s; }\n"
    )
    subprocess.run(["git", "apply", "-"], input=patch.diff, text=True, check=True, cwd=tmp_path)
    assert (tmp_path / "nginx.conf").read_bytes() == patch.after["./nginx.conf"]


def test_an_ingress_without_annotations_gets_some(tmp_path: Path) -> None:
    """A default of ingress-nginx stands nowhere: the annotation is put in."""
    (tmp_path / "ingress.yaml").write_text(
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: a\nspec:\n  ingressClassName: nginx\n"
        "  rules:\n    - http:\n        paths:\n          - path: /\n            pathType: Prefix\n"
        "            backend: {service: {name: s, port: {number: 80}}}\n"
    )
    chain = chain_of(["./ingress.yaml"])
    (layer,) = chain.topology.hops

    patch = patched(chain, layer.name, "proxy-read-timeout", 390)

    assert '+  annotations:\n+    nginx.ingress.kubernetes.io/proxy-read-timeout: "390"\n' in patch.diff


def test_what_stands_in_no_file_is_left_to_the_hand() -> None:
    """A preset's limit is nobody's file."""
    chain = chain_of(["cloudflare-free", "./nginx.conf"], path="/v1/images/x")

    patch = patched(chain, "cloudflare-free", "Proxy Read Timeout", 390)

    assert (patch.diff, [turn.layer for turn in patch.by_hand]) == ("", ["cloudflare-free"])


def test_a_chain_file_is_a_file_of_the_user_s_too(tmp_path: Path) -> None:
    """Its limits are changed where they stand, in the unit in which they stand."""
    (tmp_path / "ours.yaml").write_text("layers:\n  - preset: nginx\n    timers: {idle: 2m}\n")
    chain = chain_of(["ours.yaml"])

    patch = patched(chain, "nginx", "proxy_read_timeout", 600)

    assert "-    timers: {idle: 2m}\n+    timers: {idle: 10m}\n" in patch.diff


def test_writing_keeps_rights_line_endings_and_marks(tmp_path: Path) -> None:
    """What is not the limit stays as it was, byte by byte."""
    path = tmp_path / "nginx.conf"
    path.write_bytes(b"\xef\xbb\xbf" + NGINX.replace("\n", "\r\n").encode())
    path.chmod(0o640)
    before = path.read_bytes()
    chain = chain_of(["./nginx.conf"], path="/health")

    patched(chain, "nginx", "proxy_read_timeout", 120).write()

    assert path.read_bytes() == before.replace(b"1m30s", b"120s")
    assert path.stat().st_mode & 0o777 == 0o640
    assert [one.name for one in tmp_path.iterdir()] == ["nginx.conf"]


def test_a_link_out_of_the_folder_is_refused(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What it leads to is not changed unasked; a link inside the folder is followed."""
    outside = tmp_path_factory.mktemp("outside") / "nginx.conf"
    outside.write_text(NGINX)
    (tmp_path / "linked.conf").symlink_to(outside)
    (tmp_path / "near.conf").symlink_to(tmp_path / "nginx.conf")

    with pytest.raises(BadFile, match=r"linked\.conf: it is a link out of this folder"):
        patched(chain_of(["./linked.conf"], path="/health"), "nginx", "proxy_read_timeout", 120).write()
    patched(chain_of(["./near.conf"], path="/health"), "nginx", "proxy_read_timeout", 120).write()

    assert outside.read_text() == NGINX
    assert (tmp_path / "near.conf").is_symlink()
    assert "120s" in (tmp_path / "nginx.conf").read_text()


def test_a_file_that_changed_meanwhile_is_left_alone(tmp_path: Path) -> None:
    """Another's work is not overwritten."""
    patch = patched(chain_of(["./nginx.conf"], path="/health"), "nginx", "proxy_read_timeout", 120)
    (tmp_path / "nginx.conf").write_text(f"# new\n{NGINX}")

    with pytest.raises(BadFile, match="it has changed since it was read"):
        patch.write()

    assert (tmp_path / "nginx.conf").read_text().startswith("# new\n")


def check(*arguments: str) -> tuple[int, str]:
    """Exit code and output of `whocut check`."""
    done = CliRunner().invoke(app, ["check", *arguments, "--mode", "plain", "--n", "5"])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout


def test_write_mends_the_file_and_the_next_check_is_content(tmp_path: Path) -> None:
    """The fix is proved on the chain, and again on the disk."""
    asked = ["./nginx.conf", "--path", "/v1/images/generations"]
    code, said = check(*asked, "--fix")
    assert code == 1
    assert "+            proxy_read_timeout 390s;" in said
    assert (tmp_path / "nginx.conf").read_text() == NGINX

    check(*asked, "--write")

    code, said = check(*asked)
    assert code == 0
    assert "carries every image" in said


@pytest.mark.parametrize("vendor", ["cloudflare-free", "heroku"])
def test_a_knob_that_the_vendor_does_not_let_this_user_turn_is_never_the_fix(vendor: str) -> None:
    """Cloudflare below Enterprise and Heroku's 30 s: the way out is another one, and no patch says otherwise."""
    _, text = check(vendor, "./nginx.conf", "--path", "/health", "--fix", "--json")

    said = json.loads(text)
    theirs = [
        one for one in said["findings"] if one["layer"] == vendor and one["code"] == "limit-below-generation"
    ]
    assert [(one["to_s"], one["patch"], one["pastes"]) for one in theirs] == [(None, None, False)]
    assert all(change["layer"] != vendor for fix in said["fixes"] for change in fix["changes"] or ())
