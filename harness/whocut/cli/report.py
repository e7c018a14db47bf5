"""`whocut report`: the page and the pictures of a run, made anew."""

from __future__ import annotations

from whocut.chain.plain import topology_of
from whocut.cli.options import (
    JsonFlag,
    RunArgument,
)
from whocut.cli.printing import print_json, say
from whocut.errors import BadInput
from whocut.show.following import next_command
from whocut.trace.rundir import ATTEMPTS, RunDir
from whocut.verdict.of_run import judge_run
from whocut_reports import write_report, write_unreadable


def report(
    run_dir: RunArgument,
    as_json: JsonFlag = False,
) -> None:
    """Make the page and the pictures of a run anew from what it holds.

    Example: whocut report runs/first
    """
    try:
        found = RunDir.open(run_dir)
        topology = topology_of(found.manifest)
    except BadInput:
        if (
            run_dir.is_dir() and (run_dir / ATTEMPTS).is_file()
        ):  # a run's, cut off: its page says what is missing
            say(f"report: {write_unreadable(run_dir)}")
        raise
    page = write_report(found, judge_run(found, topology), topology)
    if as_json:
        print_json({"report": str(page)})
    else:
        say(f"report: {page}")
        say(f"next:   {next_command('why', run_dir)}")
