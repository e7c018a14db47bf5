"""Logs whose lines come by OTLP, and no file: `FORMAT=otlp:SERVICE`, beside the files that are followed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from whocut.errors import BadInput
from whocut.foreign.files import LogFile, parse_log, parse_logs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whocut.trace.logs.records import LogFormat

_SENT: Final = "otlp:"


@dataclass(frozen=True, slots=True)
class SentLog:
    """A log whose lines a service sends: the layer it belongs to, its format, the `service.name` of its records."""

    layer: str
    format: LogFormat
    service: str


def parse_watched(written: Sequence[str]) -> list[LogFile | SentLog]:
    """What ``--logs`` of a watch names, in the order of the chain: files, and services that send their lines.

    Raises:
        BadInput: it is not of that form, there is no such format, or two logs are said to come from one service.
    """
    logs: list[LogFile | SentLog] = []
    for one in written:
        layer, log_format, where = parse_log(one)
        if not where.startswith(_SENT):
            logs += parse_logs([one])
            continue
        service = where.removeprefix(_SENT)
        if any(isinstance(log, SentLog) and log.service == service for log in logs):
            raise BadInput(f"the service is named twice: {service}. Give each service one log.", field="logs")
        logs.append(SentLog(layer, log_format, service))
    return logs
