"""From what was written to an account: a run directory, a run's summary, a sweep, or the JSON of `whocut check`."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import orjson

from whocut.chain.plain import topology_of
from whocut.compare.account import Account, Figure, Group, Kind, Mean, Median, Sample, Share
from whocut.errors import BadFile, BadInput
from whocut.trace.records import Outcome
from whocut.trace.requests import by_request, due_s
from whocut.trace.rundir import RunDir
from whocut.verdict.figures import SweepFigures, doubts_of, read_summary
from whocut.verdict.of_run import judge_run
from whocut.verdict.phrases import cut_name
from whocut.words import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from whocut.chain.layers import Topology
    from whocut.trace.records import Attempt
    from whocut.verdict.figures import CutFigures, LevelFigures, ModeFigures

# What a manifest says was asked; what only says where and when is no setting.
_ASKED = ("scenario", "chain", "clock", "seed", "partial_images", "command", "versions", "python")


def read_account(path: Path) -> Account:
    """The account that lies at a path: a run directory, or a file with the JSON of a run, a sweep or a check.

    Raises:
        BadInput: there is nothing, or nothing that can be compared.
        BadFile: it cannot be read.
    """
    if path.is_dir():
        return _of_run(RunDir.open(path))
    if not path.is_file():
        raise BadInput(f"there is no run directory and no file {path}. Name a run, or the JSON of a check.")
    try:
        told = orjson.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise BadFile(path, f"it cannot be read as JSON: {error}") from None
    if isinstance(told, dict):
        if "cases" in told and "answer" in told:
            return _of_check(told, path)
        if "by_mode" in told:
            return _of_summary(told, path)
    raise BadFile(
        path,
        "it is no JSON of `whocut run`, `whocut sweep` or `whocut check`. Write it with `--json > FILE`.",
    )


def _name(path: Path) -> str:
    """As it was written; of a path from the root the last two parts, which name no home and no machine."""
    return "/".join(path.parts[-2:]) if path.is_absolute() else str(path)


# --- a run with all its records ---------------------------------------------------------------------------


def _of_run(run: RunDir) -> Account:
    topology = topology_of(run.manifest)
    judged = judge_run(run, topology)
    attempts, ledger = run.attempts(), run.ledger()
    settings = {**_asked(run.manifest), **_limits(topology)}
    name, doubts = _name(run.path), doubts_of(run)
    if judged.figures.sweep:
        return _of_sweep(judged.figures.sweep, name, settings, doubts)
    generations = _generations(ledger)
    paid = None if run.manifest.get("to") else generations
    groups = {
        mode: _mode(
            [attempt for attempt in attempts if attempt.mode == mode],
            paid,
            figures,
        )
        for mode, figures in judged.figures.by_mode.items()
    }
    return Account(kind=Kind.RUN, name=name, groups=groups, settings=settings, doubts=doubts)


def _generations(ledger: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """The generations of each trace; refusals began no work."""
    found: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in ledger:
        if row.get("started_s") is not None:
            found[str(row.get("trace_id"))].append(row)
    return found


def _mode(
    attempts: Sequence[Attempt],
    generations: Mapping[str, Sequence[Mapping[str, Any]]] | None,
    figures: ModeFigures,
) -> Group:
    """One mode's samples; a request that was under way when the run ended is in none of them."""
    whole = [tries for tries in by_request(attempts).values() if tries[-1].outcome is not Outcome.CENSORED]
    came = [tries for tries in whole if tries[-1].outcome is Outcome.DELIVERED]
    samples: dict[str, Sample] = {
        "delivered": Share(len(came), len(whole)),
        "share_429": Share(sum(any(one.status == 429 for one in tries) for tries in whole), len(whole)),
        "time_to_image_s": Median(
            tuple(tries[-1].ended_s - due_s(tries[0]) for tries in came if tries[-1].ended_s is not None)
        ),
        "first_byte_s": Median(
            tuple(
                tries[-1].first_byte_s - due_s(tries[0])
                for tries in came
                if tries[-1].first_byte_s is not None
            )
        ),
        "usd_per_delivered": Figure(figures.ledger.usd_per_delivered),
    }
    if generations is None:
        charged = [sum(one.charged_usd or 0.0 for one in tries) for tries in whole]
        samples["usd_per_request"] = Mean(tuple(charged))
    else:
        behind = [
            [
                row
                for trace in dict.fromkeys(one.trace_id for one in tries)
                for row in generations.get(trace, ())
            ]
            for tries in whole
        ]
        samples["usd_per_request"] = Mean(tuple(_sum(rows, "billed_usd", of="billed") for rows in behind))
        samples["generations_per_request"] = Mean(tuple(float(len(rows)) for rows in behind))
        samples["orphaned_s_per_request"] = Mean(tuple(_sum(rows, "orphaned_s") for rows in behind))
    return Group(samples=samples, cuts=_cuts(figures.verdicts), attempts=figures.attempts)


def _sum(rows: Iterable[Mapping[str, Any]], name: str, *, of: str | None = None) -> float:
    return sum(float(row.get(name) or 0) for row in rows if of is None or row.get(of))


def _cuts(rows: Iterable[CutFigures]) -> dict[str, int]:
    counted: Counter[str] = Counter()
    for row in rows:
        counted[cut_name(row)] += row.attempts
    return dict(counted)


# --- what has figures alone -------------------------------------------------------------------------------


def _of_summary(told: Mapping[str, Any], path: Path) -> Account:
    """The JSON that a run or a sweep prints: its counts are there, its single requests are not."""
    if "recommend" in told:  # `whocut sweep --json` has the sweep's own fields in front
        told = {**told, "sweep": {one.name: told.get(one.name) for one in fields(SweepFigures)}}
    summary = read_summary(told, path)
    settings = {
        "scenario": summary.scenario,
        "chain": summary.chain,
        "clock": summary.clock,
        "seed": str(summary.seed),
    }
    if summary.sweep:
        return _of_sweep(summary.sweep, _name(path), settings, summary.warnings)
    groups = {
        mode: Group(
            samples={
                "delivered": Share(figures.delivered, figures.requests - figures.censored),
                "time_to_image_s": Figure(figures.p50_s),
                "first_byte_s": Figure(figures.first_byte_p50_s),
                "generations_per_request": Figure(figures.ledger.generations_per_request),
                "usd_per_delivered": Figure(figures.ledger.usd_per_delivered),
            },
            cuts=_cuts(figures.verdicts),
            attempts=figures.attempts,
        )
        for mode, figures in summary.by_mode.items()
    }
    return Account(
        kind=Kind.RUN, name=_name(path), groups=groups, settings=settings, doubts=tuple(summary.warnings)
    )


def _of_sweep(found: SweepFigures, name: str, settings: Mapping[str, str], doubts: Sequence[str]) -> Account:
    groups = {_level_name(level): _level(level) for level in found.all_levels}
    groups["the answer"] = Group(samples={"max_in_flight": Figure(found.recommend.max_in_flight)})
    told = {**settings, "tolerated share of 429s": f"{found.tolerate:g}"}
    return Account(kind=Kind.SWEEP, name=name, groups=groups, settings=told, doubts=tuple(doubts))


def _level_name(level: LevelFigures) -> str:
    gap = f", gap {format_duration(level.gap_s)}" if level.gap_s else ""
    return f"{level.concurrency} at once{gap}"


def _level(level: LevelFigures) -> Group:
    seen = level.requests - level.censored
    return Group(
        samples={
            "share_429": Share(level.refused, max(level.refused, seen)),
            "time_to_image_s": Figure(level.p50_s),
            "delivered_per_min": Figure(level.delivered_per_min),
            "usd_per_delivered": Figure(level.usd_per_delivered),
        }
    )


def _of_check(told: Mapping[str, Any], path: Path) -> Account:
    """The JSON of a check: a case is a group, and its share is of the requests it was proved with."""
    try:
        groups = {f"{case['profile']}, {case['mode']}": _case(case) for case in told["cases"]}
        settings = {"chain": str(told["chain"]), "findings": _findings(told)}
        doubts = () if groups else ("the check has no case",)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadFile(path, f"it is not the JSON of `whocut check`: {error!r}") from None
    return Account(kind=Kind.CHECK, name=_name(path), groups=groups, settings=settings, doubts=doubts)


def _case(case: Mapping[str, Any]) -> Group:
    of = int(case["requests"])
    return Group(
        samples={
            "delivered": Share(round(float(case["delivered"]) * of), of),
            "time_to_image_s": Figure(case["p50_s"]),
            "generations_per_request": Figure(case["generations_per_request"]),
            "orphaned_s_per_request": Figure(case["orphaned_s_per_request"]),
            "usd_per_delivered": Figure(case["usd_per_delivered"]),
        },
        cuts={
            f"{cut['layer']} cut by {cut['timer']}": round(float(cut["share"]) * of) for cut in case["cuts"]
        },
        attempts=of,
    )


def _findings(told: Mapping[str, Any]) -> str:
    named = (f"{one['layer']}: {one['directive']} ({one['code']})" for one in told["findings"])
    return "; ".join(dict.fromkeys(named)) or "none"


# --- what was asked ---------------------------------------------------------------------------------------


def _asked(manifest: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in _ASKED:
        value = manifest.get(name)
        if isinstance(value, dict):
            value = value.get("written") or ", ".join(f"{key} {inner}" for key, inner in value.items())
        elif isinstance(value, list | tuple):
            continue  # the command names each run's own directory
        if value is not None:
            found[name] = str(value)
    return found


def _limits(topology: Topology) -> dict[str, str]:
    """Every limit of every layer by its name, and the model that is asked."""
    found = {
        f"{layer.name}: {timer.directive} ({kind})": format_duration(timer.limit_s)
        for layer in topology.layers
        for kind, timer in layer.timers.items()
    }
    upstream = topology.upstream
    return {"model": f"{upstream.model}, {upstream.size}, {upstream.quality}", **found}
