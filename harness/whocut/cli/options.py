"""The arguments and flags that several commands have in common, each declared once."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

# Beyond 64 bits no record can hold them, and more requests than this no run directory.
HIGHEST_SEED = 2**63 - 1
MOST_REQUESTS = 1_000_000

_CHAIN = (
    "A chain by name or file; or its layers from the caller inward: presets and your own files, "
    "as FORMAT=FILE where a name does not tell."
)
_CLOCK = "real, or scaled:100 for 100 model seconds a second."

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of words.")]
Force = Annotated[bool, typer.Option("--force", help="Replace the run that is there.")]

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")]
ScenarioArgument = Annotated[str, typer.Argument(help="A scenario by name, or a path to a Locust file.")]
SourcesArgument = Annotated[list[str], typer.Argument(metavar="SOURCE...", help=_CHAIN)]
SourcesOrNone = Annotated[
    list[str] | None, typer.Argument(metavar="SOURCE...", help=f"{_CHAIN} Default: article.")
]
ChainOfScenario = Annotated[
    list[str] | None,
    typer.Option(help=f"{_CHAIN} May be given several times, a layer each. Default: the scenario's."),
]
HostOption = Annotated[
    str | None,
    typer.Option("--host", help="The host that the request is for, where a file of yours has several."),
]
PathOption = Annotated[
    str | None,
    typer.Option("--path", help="The path of the request, like /v1/images/generations, where it decides."),
]
ClockOption = Annotated[str, typer.Option(help=_CLOCK)]
ClockOfScenario = Annotated[str | None, typer.Option(help=f"{_CLOCK} Default: the scenario's.")]
ShowDiff = Annotated[
    bool,
    typer.Option(
        "--show-diff",
        help="Print what was changed of the configurations that real gateways are started from.",
    ),
]
OtlpPort = Annotated[
    int | None,
    typer.Option(min=0, max=65535, help="Take other processes' spans on this port, by OTLP/HTTP."),
]
BetweenTaps = Annotated[
    list[str] | None,
    typer.Option(
        "--between",
        help="The layer between two taps: OUTER,INNER=nginx, …=nginx:idle=60s,connect=5s, or …=./nginx.conf.",
    ),
]

seed_option = partial(typer.Option, min=0, max=HIGHEST_SEED)
port_option = partial(typer.Option, min=0, max=65535)
requests_option = partial(typer.Option, min=1, max=MOST_REQUESTS)

SeedOfLoad = Annotated[int, seed_option(help="The same seed asks the same and takes the same time.")]


def out_option(default: str) -> Any:
    """The flag of the run directory; its help names where the command makes one by itself."""
    return typer.Option(help=f"The run directory to make. Default: {default}, numbered.")
