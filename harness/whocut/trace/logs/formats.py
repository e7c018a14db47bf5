"""Every format by name: each file here that has a `FORMAT`. And what is printed of them into the documentation."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from whocut.errors import BadInput, nearest
from whocut.registry import found_in
from whocut.trace.logs.records import Unreadable

if TYPE_CHECKING:
    from whocut.trace.logs.records import Account, LogFormat, Signal

# Products whose logs are those of another: built on it, or another name of it.
_ALSO: Final = {
    "istio": "envoy",
    "envoy-gateway": "envoy",
    "aws-alb": "alb",
    "aws-apigw-rest": "aws-apigw",
    "aws-apigw-http": "aws-apigw",
    "ingress-nginx": "nginx",
    "openresty": "nginx",
    "kong": "nginx",
    "apisix": "nginx",
    "tengine": "nginx",
    "httpd": "apache",
    "apache2": "apache",
    "gclb": "gcp-alb",
    "cloud-run": "gcp-cloud-run",
    "vercel-edge": "vercel",
    "vercel-legacy": "vercel",
}
# Products that are known, and whose logs are not read: no other product's name is offered for them.
_NOT_READ: Final = {
    "lighttpd": "lighttpd",
    "iis": "IIS",
    "squid": "Squid",
    "fastly": "Fastly",
    "akamai": "Akamai",
    "netlify": "Netlify",
}
_HEAD: Final = """# Logs that can be read

Made by `python -m whocut.trace.logs`; a test holds this page to the code.

`whocut attribute --logs NAME=FILE` reads the logs below. `NAME` is a format's name; where a chain has two
layers of one product, write `LAYER:NAME=FILE`. Give the access log and the error log of one layer as two `--logs`
of one name. `FILE` may be packed (`.gz`, `.zst`), a pattern (`'access.log*'`, rotated files from the oldest), or
`-` for standard input.

Above some 32 MB one layer's lines are only counted: each is a request, and those of one signature have one verdict.
Lines of several layers, and with `--verdicts FILE.parquet`, are kept on disk and not in memory. What that needs
comes with `pip install 'whocut[logs]'`. NGINX, HAProxy, Envoy and ALB are read fastest, in the forms recommended
here and in the products' default forms. Lines of several layers without a name are joined by time; where others fit
as well, what they say is inferred.

Each table says what a code means: who ended the request by the layer's own account, in which phase, by which timer.
It is testimony and never proof; where edges say otherwise, the edges win, and the contradiction is printed.

An answer from behind that was handed on tells of a cut there with 502, 503, 504 or 52x. A 500 is a failure, and no
cut.
"""


@cache
def formats() -> dict[str, LogFormat]:
    """Every format by its name. Found at the first question: files of this folder that read logs ask, too."""
    return {log.name: log for log in found_in("whocut.trace.logs", "FORMAT").values()}


def find_format(name: str) -> LogFormat:
    """The format of that name.

    Raises:
        BadInput: there is no such format; names the nearest one.
    """
    known = formats().get(_ALSO.get(name, name))
    if name in _NOT_READ:
        raise BadInput(
            f"{name}: the logs of {_NOT_READ[name]} are not read. Paste the line of the failed request into "
            f"`whocut triage`; read are the logs of {', '.join(formats())}",
            field="logs",
        )
    if known is None:
        raise BadInput(
            f"there is no log format '{name}'{nearest(name, [*formats(), *_ALSO])}; there are "
            f"{', '.join(formats())}",
            field="logs",
        )
    return known


def recognise(line: str) -> tuple[LogFormat, Account] | None:
    """The format whose own line this is, and what it tells; None for a form that several products write."""
    for log in formats().values():
        if log.signs and not any(sign in line for sign in log.signs):
            continue
        try:
            account = log.read(line)
        except Unreadable:
            continue
        if account is not None and not account.anonymous:
            return log, account
    return None


def as_markdown() -> str:
    """The page ``docs/logs.md``."""
    return "\n".join([_HEAD, *(_section(log) for log in formats().values())])


def _section(log: LogFormat) -> str:
    known = "" if log.captured else "\nWritten from its documentation: no lines of it were captured.\n"
    remarks = "".join(f"- {remark}\n" for remark in log.remarks)
    rows = "\n".join(_row(signal) for signal in log.signals)
    return (
        f"## {log.title}: `{log.name}`\n{known}\nSet this:\n\n```\n{log.recommended}\n```\n\n{remarks}\n"
        f"| {log.code} | ended by | phase | timer | directive | it says |\n|---|---|---|---|---|---|\n{rows}\n"
    )


def _row(signal: Signal) -> str:
    directive = f"`{signal.directive}`" if signal.directive else "–"
    says = signal.says + ("" if signal.verified else " (unverified)")
    code = signal.code.replace("|", "\\|")
    phase, timer = signal.phase or "–", signal.timer or "–"
    return f"| `{code}` | {signal.ended_by} | {phase} | {timer} | {directive} | {says} |"
