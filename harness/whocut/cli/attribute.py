"""`whocut attribute`: spans and logs made elsewhere, judged."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from whocut.cli.options import (
    BetweenTaps,
    JsonFlag,
)
from whocut.cli.printing import EXIT_FINDING, fail, print_json, say
from whocut.cli.searching import (
    Every,
    From,
    Limit,
    Search,
    Service,
    Since,
    SlowerThan,
    TokenEnv,
    Until,
)
from whocut.config.sources import read_chain
from whocut.errors import BadInput
from whocut.foreign.files import Attributed, attribute_files, attribute_material, parse_logs, said_between
from whocut.foreign.logs import (
    INSTALL,
    MANY_BYTES,
    AttributedLogs,
    attribute_logs,
    engine_is_there,
    size_of,
)
from whocut.show.progress import ProgressLine


def attribute(
    spans: Annotated[
        list[Path] | None, typer.Option(help="OTLP/JSON lines, as a Collector's file exporter writes them.")
    ] = None,
    logs: Annotated[
        list[str] | None,
        typer.Option(
            help="FORMAT=FILE or LAYER:FORMAT=FILE, from the caller inward; docs/logs.md lists them. FILE may be "
            "packed (.gz, .zst), a pattern, or - for standard input."
        ),
    ] = None,
    chain: Annotated[
        str | None,
        typer.Option(help="The chain it went through: a name or a file. Default: as the material shows."),
    ] = None,
    between: BetweenTaps = None,
    from_: From = None,
    service: Service = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = None,
    slower_than: SlowerThan = None,
    every: Every = False,
    token_env: TokenEnv = None,
    verdicts: Annotated[
        Path | None,
        typer.Option(help="A Parquet file that gets a row for each request; logs only, whocut[logs]."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Say which layer cut each request, from spans and logs made elsewhere.

    Exit 1 where nothing could be read, and where what could be read holds no request.

    Example: whocut attribute --spans spans.jsonl --logs nginx=access.log --logs nginx=error.log

    A running backend: whocut attribute --from jaeger=http://127.0.0.1:16686 --service gateway --since 1h

    Two taps and the layer between them: whocut attribute --spans outer/spans.jsonl --spans inner/spans.jsonl
    --between outer,inner=nginx:idle=60s

    A day of logs: whocut attribute --logs 'nginx=/var/log/nginx/access.log*' --verdicts verdicts.parquet
    """
    attributed: Attributed | AttributedLogs
    search = Search(service, since, until, limit, slower_than, every, token_env)
    if not from_:
        search.refuse_alone()
    if logs and not spans and not between and not from_:
        attributed = _of_logs(logs, chain, verdicts)
    else:
        if verdicts:
            raise BadInput(
                "it is written of logs alone. Leave --spans, --from and --between out.", field="verdicts"
            )
        if from_:
            topology = read_chain(chain) if chain else None
            said, files = said_between(topology, between or ()), parse_logs(logs or ())
            fetched, looked = search.spans_of(from_, topology)
            attributed = attribute_files(spans or [], files, topology, said, fetched=fetched, looked=looked)
        else:
            attributed = attribute_material(
                spans=spans or (), logs=logs or (), chain=chain, between=between or ()
            )
    if as_json:
        print_json(attributed.as_json())
    else:
        for line in attributed.as_words():
            say(line)
    if attributed.unusable:
        fail(attributed.unusable, EXIT_FINDING)


def _of_logs(logs: list[str], chain: str | None, verdicts: Path | None) -> Attributed | AttributedLogs:
    files = parse_logs(logs)
    size = size_of(files)
    if verdicts is None and size > MANY_BYTES and not engine_is_there():
        say(
            f"about {size / 1e6:,.0f} MB of logs are read in memory. Install what keeps them on disk: {INSTALL}",
            to_stderr=True,
        )
    done = 0
    with ProgressLine(Console(stderr=True), after_real_s=2.0) as line:

        def told(read_bytes: int) -> None:
            nonlocal done
            done += read_bytes
            of = f" of about {max(size, done) / 1e6:,.0f}" if size else ""
            line.say(f"read {done / 1e6:,.0f} MB{of}")

        return attribute_logs(logs, read_chain(chain) if chain else None, verdicts=verdicts, progress=told)
