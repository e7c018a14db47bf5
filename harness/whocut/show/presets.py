"""What a terminal shows of the catalogue: all layers in groups, or all that is known of one."""

from __future__ import annotations

import re
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from whocut.chain.catalogue import catalogue, entry_of
from whocut.chain.layers import Buffering, MidBody
from whocut.chain.preset_file import GROUPS
from whocut.chain.products import products
from whocut.chain.timers import Timer, TimerKind
from whocut.show.following import next_command
from whocut.words import format_duration, plural

if TYPE_CHECKING:
    from rich.console import Console

    from whocut.chain.preset_file import OtherTimer, PresetEntry, TimerEntry

UNVERIFIED = "unverified"
_TAGS = re.compile(r"<[^>]*>")
_SHORT = {
    TimerKind.CONNECT: "connect",
    TimerKind.FIRST_BYTE: "first byte",
    TimerKind.IDLE: "idle",
    TimerKind.TOTAL: "total",
}
_ENDS = {
    MidBody.FIN: "a plain close: too few bytes, or no terminating chunk",
    MidBody.RST: "a reset",
    MidBody.TERMINATED: "the terminating chunk: a cut that looks complete",
}
_HOLDS = {
    Buffering.NONE: "no: bytes pass as they come",
    Buffering.CONTENT_LENGTH: "bodies with a Content-Length; chunks pass as they come",
    Buffering.ALL: "YES: nothing reaches the caller before the end",
}


def print_presets(console: Console) -> None:
    """Every layer, in its group, with the limits that can end a request."""
    entries: dict[int, tuple[str, PresetEntry]] = {}
    for name, entry in catalogue().items():
        entries.setdefault(id(entry), (name, entry))
    for group, title in GROUPS.items():
        console.print(Text(title, style="bold"))
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 2))
        table.add_column("name", no_wrap=True, min_width=26)
        table.add_column("limits", overflow="fold")
        for name, entry in entries.values():
            if entry.group == group:
                table.add_row(name, Text(_limits(entry)))
        console.print(table)
        console.print()
    console.print(
        f"{len(entries)} layers, {len(catalogue())} names with their plans. ? is a limit known from memory alone.\n"
        f"As the real product, by `gateway: NAME` in a chain file: {', '.join(products())}.\n"
        f"next:   {next_command('presets')} NAME",
        highlight=False,
        markup=False,
    )


def _limits(entry: PresetEntry) -> str:
    """``first byte and idle 60 s, total 15 min``, equal limits together; plans behind."""
    limits: dict[str, list[str]] = {}
    for kind, says in _SHORT.items():
        timer = entry.timers.get(kind)
        if timer and timer.limit is not None and kind is not TimerKind.CONNECT:
            doubt = "?" if timer.tag == "memory" else ""
            limits.setdefault(format_duration(timer.limit) + doubt, []).append(says)
    unknown = [says for kind, says in _SHORT.items() if kind in entry.timers and entry.timers[kind].unknown]
    if unknown:
        limits["unknown"] = unknown
    said = (
        ", ".join(f"{' and '.join(kinds)} {limit}" for limit, kinds in limits.items())
        or "no limit by default"
    )
    plans = f"  [{', '.join(entry.variants)}]" if entry.variants else ""
    return said + plans


def print_preset(console: Console, name: str) -> None:
    """All that is known of one layer.

    Raises:
        BadInput: there is no such preset; names the nearest one.
    """
    entry, plan = entry_of(name)
    console.print(
        Text.assemble((entry.title, "bold"), f" ({plan})" if plan else "", f"  {GROUPS[entry.group]}")
    )
    console.print(f"source: {entry.source} (read {entry.read})\n", highlight=False, markup=False)
    for kind, timer in entry.written(variant=plan).items():
        _print_timer(console, str(kind), timer)
    if not entry.written(variant=plan):
        console.print("no timer of this layer ends a request\n", highlight=False, markup=False)
    if entry.other:
        console.print("timers that do not end a slow response:", highlight=False, markup=False)
        for other in entry.other:
            _print_other(console, other)
        console.print()
    _print_manners(console, entry)
    if name in products():
        _fact(
            console, "real product", f"`gateway: {name}` in a chain file: whocut run and whocut up start it"
        )
    for edition, timers in entry.editions.items():
        said = ", ".join(
            f"{kind} {format_duration(timer.limit)} ({timer.note or timer.directive})"
            for kind, timer in timers.items()
        )
        _fact(console, edition, said)
    for unknown in entry.doubts:
        _fact(console, UNVERIFIED, unknown, style="yellow")


def _print_timer(console: Console, kind: str, timer: TimerEntry) -> None:
    off = "unknown" if timer.unknown else "off by default"
    limit = format_duration(timer.limit) if timer.limit is not None else off
    most = ""
    if timer.most is not None:
        most = "  fixed" if timer.most == timer.limit else f"  up to {format_duration(timer.most)}"
    doubt = (f"  {UNVERIFIED}", "yellow") if timer.tag == "memory" else (f"  {timer.tag}", "dim")
    console.print(Text.assemble((f"{kind:<11}", "bold"), f"{limit}{most}  {timer.directive}", doubt))
    if timer.note:
        console.print(Padding(Text(timer.note), (0, 0, 0, 11)))
    if timer.knob and timer.limit is not None:
        console.print(Padding(Text(_line(timer), style="green"), (0, 0, 0, 11)))


def _line(timer: TimerEntry) -> str:
    kept = Timer(kind=TimerKind.TOTAL, limit_s=timer.limit or 1.0, directive=timer.directive, knob=timer.knob)
    return kept.set_to(kept.limit_s)


def _print_other(console: Console, other: OtherTimer) -> None:
    limit = format_duration(other.limit) if other.limit is not None else "off"
    doubt = f" ({UNVERIFIED})" if other.tag == "memory" else ""
    note = f"; {other.note}" if other.note else ""
    console.print(Padding(Text(f"{other.directive} {limit}: {other.watches}{note}{doubt}"), (0, 0, 0, 2)))


def _print_manners(console: Console, entry: PresetEntry) -> None:
    if entry.silent:
        _fact(console, "expiry", "the connection ends without an answer")
    for event, answer in entry.answers.items():
        words = " ".join(_TAGS.sub(" ", answer.body).split())
        doubt = f"  {UNVERIFIED}" if answer.tag == "memory" else ""
        _fact(console, event, f"{answer.status} {answer.reason}: {words or 'no body'}{doubt}")
    _fact(console, "mid-body", _ENDS[entry.mid_body])
    _fact(
        console, "buffers", _HOLDS[entry.buffering] + (f"; off: {entry.unbuffer}" if entry.unbuffer else "")
    )
    retries = entry.retries
    if retries.tries > 1:
        what = "any request" if retries.post else "requests that may be repeated, never a POST"
        _fact(console, "retries", f"up to {retries.tries} tries of {what}")
    else:
        _fact(console, "retries", "none by itself")
    if retries.connects > 1:
        _fact(console, "connects", f"waits up to {plural(retries.connects, 'time')} for a connection")
    _fact(
        console,
        "aborts",
        "noticed" if entry.notices_abort else "NOT noticed: it is blind to a caller that leaves",
    )
    if entry.work_behind:
        _fact(console, "work behind", entry.work_behind)
    if entry.log_signal:
        _fact(console, "log", entry.log_signal)
    if entry.variants:
        _fact(console, "plans", ", ".join(entry.variants))


def _fact(console: Console, name: str, says: str, style: str = "") -> None:
    table = Table.grid(padding=(0, 1))
    table.add_column(width=14, no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row(Text(name, style="bold"), Text(says, style=style))
    console.print(table)


def presets_as_json(name: str | None) -> dict[str, Any]:
    """The catalogue, or one layer of it, for machines.

    Raises:
        BadInput: there is no such preset; names the nearest one.
    """
    if name is None:
        return {"presets": {known: _as_json(known) for known in catalogue()}}
    return _as_json(name)


def _as_json(name: str) -> dict[str, Any]:
    entry, plan = entry_of(name)
    said = _plain(asdict(entry))
    del said["variants"]
    said["timers"] = {str(kind): _timer_as_json(timer) for kind, timer in entry.written(variant=plan).items()}
    return {"name": name, "plan": plan, "plans": list(entry.variants), "gateway": name in products(), **said}


def _timer_as_json(timer: TimerEntry) -> dict[str, Any]:
    said = asdict(timer)
    del said["limit"], said["most"]
    return {**said, "limit_s": timer.limit, "most_s": timer.most, "verified": timer.tag != "memory"}


def _plain(value: Any) -> Any:
    """The same with the names of enumerations as text."""
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return str(value) if isinstance(value, StrEnum) else value
