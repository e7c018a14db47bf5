"""Every format by name, and what is printed of them into the documentation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from whocut.errors import BadInput, nearest
from whocut.trace.logs import alb, apache, caddy, cloudflare, envoy, haproxy, heroku, nginx, traefik

if TYPE_CHECKING:
    from whocut.trace.logs.records import LogFormat, Signal

_ALL: Final[tuple[LogFormat, ...]] = (
    nginx.FORMAT,
    haproxy.FORMAT,
    envoy.FORMAT,
    caddy.FORMAT,
    traefik.FORMAT,
    apache.FORMAT,
    alb.FORMAT,
    cloudflare.FORMAT,
    heroku.FORMAT,
)
FORMATS: Final = {log.name: log for log in _ALL}
_ALSO: Final = {"istio": "envoy", "aws-alb": "alb", "ingress-nginx": "nginx", "httpd": "apache"}
_HEAD: Final = """# Logs that can be read

Made by `python -m whocut.trace.logs`; a test holds this page to the code.

`whocut attribute --logs NAME=FILE` reads the logs below. `NAME` is a format's name; where a chain has two
layers of one product, write `LAYER:NAME=FILE`. Give the access log and the error log of one layer as two `--logs`
of one name.

Each table says what a code means: who ended the request by the layer's own account, in which phase, by which timer.
It is testimony and never proof; where edges say otherwise, the edges win, and the contradiction is printed.
"""


def find_format(name: str) -> LogFormat:
    """The format of that name.

    Raises:
        BadInput: there is none; names the nearest one.
    """
    known = FORMATS.get(_ALSO.get(name, name))
    if known is None:
        raise BadInput(
            f"there is no log format '{name}'{nearest(name, [*FORMATS, *_ALSO])}; there are "
            f"{', '.join(FORMATS)}",
            field="logs",
        )
    return known


def as_markdown() -> str:
    """The page ``docs/logs.md``."""
    return "\n".join([_HEAD, *(_section(log) for log in FORMATS.values())])


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
