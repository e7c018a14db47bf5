"""What a terminal, a pull request and a comment show of two chains compared: the deaths first, then every case."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.table import Table
from rich.text import Text

from whocut.chain.money import format_dollars
from whocut.proof.against import NO_ROUTE
from whocut.show.check import Page, print_finding
from whocut.show.check_formats import markdown
from whocut.trace.annotations import annotation
from whocut.words import UNKNOWN, format_duration, percent, plural

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from whocut.proof.against import Against, Died, Pair

_MOST_ROUTES: Final = 4


def print_against(console: Console, seen: Against) -> None:
    """The whole comparison."""
    page = Page(console)
    page.say(headline(seen))
    for died in seen.died:
        page.say(death(died), indent=2)
    page.say()
    page.table(_cases(seen.pairs))
    for note in seen.not_read:
        page.say(f"not read: {note.place}: {note.what}", style="yellow")
    for sentence in seen.not_compared:
        page.say(f"not compared: {sentence}", style="yellow")
    if seen.findings and seen.died:
        page.say(f"\n{plural(len(seen.findings), 'finding')} in {seen.after}:")
        for finding in seen.findings:
            print_finding(page, finding)


def headline(seen: Against) -> str:
    """Whether what lived lives."""
    if seen.ok:
        return f"{seen.after}: every request that {seen.before} delivers is delivered."
    routes = len({route for died in seen.died for route in died.routes})
    on = f" on {plural(routes, 'route')}" if any(died.routes != ("*",) for died in seen.died) else ""
    return f"{seen.after}: requests that {seen.before} delivers die{on}."


def death(died: Died) -> str:
    """One group of requests that now die, in a sentence."""
    place = f" ({died.file}:{died.line})" if died.line is not None else ""
    after = f" after {format_duration(died.limit_s)}" if died.limit_s is not None else ""
    after += ", its default" if died.is_default else ""
    who = NO_ROUTE if died.directive == NO_ROUTE else f"{died.layer} ends them by {died.directive}{after}"
    sure = f", between {percent(died.low)} and {percent(died.high)}" if died.low != died.high else ""
    return (
        f"{_routes(died.routes)}: {died.profile}, {died.mode}: {percent(died.share)} of requests lived and now "
        f"die{sure}: {who}{place}."
    )


def _routes(routes: tuple[str, ...]) -> str:
    more = f" and {len(routes) - _MOST_ROUTES} more" if len(routes) > _MOST_ROUTES else ""
    return ", ".join(routes[:_MOST_ROUTES]) + more


def _change(before: str, after: str) -> str:
    return before if before == after else f"{before} → {after}"


_COLUMNS: Final[dict[str, Callable[[Pair], str]]] = {
    "delivered": lambda pair: _change(percent(pair.before.delivered), percent(pair.after.delivered)),
    "now die": lambda pair: percent(sum(died.share for died in pair.died)),
    "now live": lambda pair: percent(pair.born),
    "gen/req": lambda pair: _change(
        f"{pair.before.generations_per_request:.2f}", f"{pair.after.generations_per_request:.2f}"
    ),
    "per image": lambda pair: _change(
        format_dollars(pair.before.usd_per_delivered), format_dollars(pair.after.usd_per_delivered)
    ),
}


def _cases(pairs: tuple[Pair, ...]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("route", overflow="fold")
    table.add_column("profile", overflow="fold")
    table.add_column("mode", no_wrap=True)
    for name in _COLUMNS:
        table.add_column(name, justify="right", no_wrap=True)
    for pair in pairs:
        figures = [figure(pair) for figure in _COLUMNS.values()]
        table.add_row(
            Text(_routes(pair.routes) or UNKNOWN), Text(pair.profile.name), pair.mode.name, *figures
        )
    return table


def as_github(seen: Against) -> str:
    """Each group of requests that now die, at the line of the limit that ends them."""
    lines = [annotation("error", died.file, died.line, "requests-now-die", death(died)) for died in seen.died]
    lines.append(annotation("notice" if seen.ok else "error", "", None, "whocut check", headline(seen)))
    return "\n".join(lines) + "\n"


def as_markdown(seen: Against) -> str:
    """A comment on a pull request."""
    names = ["route", "profile", "mode", *_COLUMNS]
    lines = [f"**{markdown(headline(seen))}**", ""]
    lines += [f"- {markdown(death(died))}" for died in seen.died]
    lines += ["", f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    for pair in seen.pairs:
        cells = [_routes(pair.routes), pair.profile.name, pair.mode.name]
        cells += [figure(pair) for figure in _COLUMNS.values()]
        lines.append(f"| {' | '.join(map(markdown, cells))} |")
    lines += [f"- not compared: {markdown(sentence)}" for sentence in seen.not_compared]
    return "\n".join(lines) + "\n"


FORMATS: Final[dict[str, Callable[[Against], str]]] = {"github": as_github, "markdown": as_markdown}
