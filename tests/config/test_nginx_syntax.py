"""Our reading of nginx's syntax against crossplane's: the same directives, arguments and lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import crossplane
import pytest

from tests.config.cases import cases
from whocut.clock.clock import cpu_s
from whocut.config.nginx_syntax import Directive, parse
from whocut.errors import BadFile

if TYPE_CHECKING:
    from pathlib import Path

FILES = [
    (f"{case.name}: {name}", text)
    for case in cases()
    # crossplane takes a brace for an argument in the broken one
    if case.kind == "nginx" and case.name != "the syntax is broken"
    for name, text in case.files.items()
]
MORE = [
    ("quotes and escapes", 'a \'x; y\' "q\\"r" b\\;c ${d}e;\n\n# c {\nf { g 1 2; }\n'),
    ("a comment behind a word", "a b#c; # d\ne f;\n"),
    ("blocks in blocks", "a { b { c { d e; } } f; }\n"),
    ("strings over lines", "log_format main 'x'\n  'y\n z';\nnext 1;\n"),
]


def ours(directives: list[Directive]) -> list[Any]:
    """Names, arguments, lines and blocks; what stands in another language is left out."""
    return [
        (one.name, one.args, one.line, ours(one.block) if one.block is not None else None)
        for one in directives
        if not one.name.endswith("_by_lua_block")
    ]


def theirs(parsed: list[dict[str, Any]]) -> list[Any]:
    """The same, as crossplane has it."""
    return [
        (one["directive"], one["args"], one["line"], theirs(one["block"]) if "block" in one else None)
        for one in parsed
        if not one["directive"].endswith("_by_lua_block")
    ]


@pytest.mark.parametrize(("name", "text"), FILES + MORE, ids=[name for name, _ in FILES + MORE])
def test_we_read_what_crossplane_reads(tmp_path: Path, name: str, text: str) -> None:
    """And refuse what it refuses."""
    path = tmp_path / "nginx.conf"
    path.write_text(text, encoding="utf-8")
    result = crossplane.parse(
        str(path), single=True, strict=False, check_ctx=False, check_args=False, comments=False
    )

    if result["status"] != "ok":
        with pytest.raises(BadFile):
            parse("f", text)
        return
    assert _without_if(ours(parse("f", text))) == _without_if(theirs(result["config"][0]["parsed"]))


def _without_if(directives: list[Any]) -> list[Any]:
    """Crossplane takes the parentheses of a condition off; we keep the arguments as they are."""
    return [
        (name, [] if name == "if" else args, line, _without_if(block) if block is not None else None)
        for name, args, line, block in directives
    ]


@pytest.mark.real_time
@pytest.mark.parametrize("quote", ['"', "'"])
def test_a_quote_that_is_never_closed_is_read_in_one_pass(quote: str) -> None:
    """Twice the text takes twice the time: three hundred bytes behind a lost quote took the processor for good."""

    def took_s(size: int) -> float:
        began_s = cpu_s()
        with pytest.raises(BadFile):
            parse("nginx.conf", f"server {{ name {quote}" + "a b; c\\d\n" * size)
        return cpu_s() - began_s

    took_s(100)
    assert took_s(4000) < 20 * max(took_s(400), 0.001)
