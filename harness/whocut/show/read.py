"""What a terminal shows of files that were read: the layers with their limits, and what was not read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from whocut.chain.layers import Buffering
from whocut.words import format_duration, plural

if TYPE_CHECKING:
    from rich.console import Console

    from whocut.chain.layers import Layer
    from whocut.chain.timers import Timer
    from whocut.config.reading import Read

_BUFFERS = {
    Buffering.NONE: "passes responses on as they come",
    Buffering.CONTENT_LENGTH: "holds bodies with a Content-Length",
    Buffering.ALL: "holds every response until it is complete",
}


def print_read(console: Console, read: Read) -> None:
    """The layers from the caller inward; or, where a host or a path decides, the routes that there are."""

    def say(line: str, style: str = "") -> None:
        console.print(Text(line, style=style), soft_wrap=True)

    if read.undecided:
        say(read.undecided)
        say("")
        for route in read.routes:
            timers = ", ".join(_short(timer) for layer in route.layers for timer in layer.timers.values())
            say(f"  {route.name}  {route.file}:{route.line}  {timers or 'passes nothing on'}")
    for layer in read.layers:
        _layer(say_of=say, layer=layer)
    for harmless in read.harmless:
        limit = format_duration(harmless.limit_s)
        say(f"harmless: {harmless.directive} {limit} ({harmless.file}:{harmless.line}): it {harmless.why}")
    for note in read.not_read:
        say(f"not read: {note.place}: {note.what}", "yellow")


def _layer(say_of: _Say, layer: Layer) -> None:
    say_of(f"{layer.name} ({layer.title})", "bold")
    for timer in layer.timers.values():
        where = f"{timer.file}:{timer.line}" if timer.line is not None else "default"
        inherited = ", inherited" if timer.inherited and timer.line is not None else ""
        say_of(
            f"  {timer.kind:<11}{format_duration(timer.limit_s):>8}  {timer.directive}  {where}{inherited}"
        )
    for kind, directive in layer.unknown.items():
        say_of(f"  {kind:<11}{'unknown':>8}  {directive}", "yellow")
    if layer.retries.tries > 1 and layer.retries.post:
        after = ", also after a timer of its own" if layer.retries.on_timeout else ""
        say_of(f"  tries a POST up to {plural(layer.retries.tries, 'time')}{after}")
    if layer.retries.connects > 1:
        say_of(f"  waits up to {plural(layer.retries.connects, 'time')} for a connection that does not come")
    say_of(f"  {_BUFFERS[layer.buffering]}")
    if not layer.notices_abort:
        say_of("  does not notice that its caller has left")


def _short(timer: Timer) -> str:
    return f"{timer.kind} {format_duration(timer.limit_s)}"


if TYPE_CHECKING:
    from collections.abc import Callable

    _Say = Callable[..., None]
