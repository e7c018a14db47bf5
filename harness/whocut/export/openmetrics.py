"""A run's figures as OpenMetrics text: what a Prometheus reads from a file or a gateway."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whocut.verdict.figures import ModeFigures, RunFigures

# Name, type, unit, help. A counter's samples end in _total, and a name ends in its unit.
_FAMILIES: Final = (
    ("whocut_run_valid", "gauge", "", "1 where the run's figures can be trusted, else 0."),
    ("whocut_requests", "counter", "", "Requests, by how their last attempt ended."),
    ("whocut_attempts", "counter", "", "Attempts on the wire, by how they ended for their client."),
    ("whocut_cuts", "counter", "", "Attempts that a layer cut."),
    (
        "whocut_unattributed",
        "counter",
        "",
        "Attempts that a layer ended, and the evidence does not say which.",
    ),
    ("whocut_generations", "counter", "", "Generations that were started, by the upstream's ledger."),
    ("whocut_orphaned_generations", "counter", "", "Generations that ran on without a caller."),
    ("whocut_orphaned_seconds", "counter", "seconds", "How long they ran on, in model time."),
    ("whocut_billed_usd", "counter", "usd", "What was billed."),
    ("whocut_image_seconds", "gauge", "seconds", "Time to the image of delivered requests, in model time."),
    ("whocut_first_byte_seconds", "gauge", "seconds", "Time to the first byte of delivered requests."),
)


def as_openmetrics(figures: RunFigures, *, valid: bool) -> str:
    """The whole exposition, with its end mark."""
    samples: defaultdict[str, list[str]] = defaultdict(list)
    samples["whocut_run_valid"].append(f"whocut_run_valid {int(valid)}")
    for mode, mine in figures.by_mode.items():
        for name, labels, value in _of_mode(mine):
            family = next(one for one in _FAMILIES if one[0] == name)
            suffix = "_total" if family[1] == "counter" else ""
            told = ",".join(f'{key}="{_escaped(text)}"' for key, text in {"mode": mode, **labels}.items())
            samples[name].append(f"{name}{suffix}{{{told}}} {value:.15g}")
    lines = []
    for name, kind, unit, says in _FAMILIES:
        if samples[name]:
            lines.append(f"# TYPE {name} {kind}")
            lines += [f"# UNIT {name} {unit}"] if unit else []
            lines += [f"# HELP {name} {says}", *samples[name]]
    return "\n".join([*lines, "# EOF"]) + "\n"


def _of_mode(mine: ModeFigures) -> Iterator[tuple[str, dict[str, str], float]]:
    for outcome, count in mine.outcomes.items():
        yield "whocut_requests", {"outcome": outcome}, count
    for outcome, count in mine.attempt_outcomes.items():
        yield "whocut_attempts", {"outcome": outcome}, count
    for cut in mine.verdicts:
        labels = {
            "layer": " and ".join(cut.layers),
            "timer": str(cut.timer or cut.reason),
            "phase": str(cut.phase or ""),
            "grade": str(cut.grade),
        }
        yield "whocut_cuts", labels, cut.attempts
    yield "whocut_unattributed", {}, mine.unattributed
    books = mine.ledger
    for name, value in (
        ("whocut_generations", books.started),
        ("whocut_orphaned_generations", books.orphaned),
        ("whocut_orphaned_seconds", books.orphaned_s),
        ("whocut_billed_usd", books.billed_usd),
    ):
        if value is not None:
            yield name, {}, value
    for name, quantile, value in (
        ("whocut_image_seconds", "0.5", mine.p50_s),
        ("whocut_image_seconds", "0.95", mine.p95_s),
        ("whocut_first_byte_seconds", "0.5", mine.first_byte_p50_s),
    ):
        if value is not None:
            yield name, {"quantile": quantile}, value


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
