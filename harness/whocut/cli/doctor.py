"""`whocut doctor`: what is on this machine, in lines to paste into an issue."""

from __future__ import annotations

from whocut.cli.options import (
    JsonFlag,
)
from whocut.cli.printing import print_json, say
from whocut.show import doctor as examined
from whocut.show.following import next_command


def doctor(as_json: JsonFlag = False) -> None:
    """What is installed here: versions, extras, gateways, ports, clock; lines to paste into an issue.

    Example: whocut doctor
    """
    facts = examined.examine()
    if as_json:
        print_json(examined.as_json(facts))
        return
    for line in examined.lines(facts):
        say(line)
    say(f"next:   {next_command('check', 'article', '--n', '100')}")
