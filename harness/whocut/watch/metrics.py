"""The metrics of a watch, as Prometheus reads them; they go on counting after a restart."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from whocut.foreign.signed import Told
from whocut.verdict.verdict import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from whocut.verdict.verdict import Verdict
    from whocut.watch.desk import Decided

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_MOST_LABELS: Final = 500  # sets of labels; spans from elsewhere bring names without end
_OTHER: Final = ("other", "", "", "")
_BUCKETS_S: Final = (1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0)
_LABELS: Final = ("layer", "timer", "phase", "grade")
_COUNTED: Final = ("kind", *_LABELS)
_HELP: Final = {
    "requests": ("counter", "Attempts that were judged, by the kind of their verdict"),
    "cuts": ("counter", "Attempts that a layer cut, by layer, timer, phase and grade"),
    "orphaned_generations": (
        "counter",
        "Generations that ran on after the last layer waiting for them had gone",
    ),
    "retries_after_unknown_outcome": ("counter", "Retries of attempts whose outcome was unknown"),
    "undelivered_usd": ("counter", "Dollars billed for images that reached no caller"),
    "time_to_decide_seconds": ("histogram", "From the first word of a trace to its verdict"),
    "spans": ("counter", "Spans that were taken in"),
    "log_lines": ("counter", "Lines of logs that were taken in"),
    "unreadable_lines": ("counter", "Lines of logs that could not be read"),
    "judged": ("counter", "Spans and lines that were judged, each in its trace"),
    "unfit": ("counter", "Spans and lines of traces with a layer that the chain of the watch does not have"),
    "late": ("counter", "Spans and lines of traces that had been decided before"),
    "shed": ("counter", "Spans and lines that were let go unjudged: more of one trace than is held"),
    "decided_early": ("counter", "Traces that were decided early, because memory was full"),
    "unnamed_lines": (
        "counter",
        "Lines without a trace id or request id, judged alone beside other layers' logs",
    ),
    "unjoined_lines": ("counter", "Error lines that belong to no access line"),
    "unknown_service_lines": ("counter", "Lines that came by OTLP from a service whose log was not named"),
    "refused_requests": ("counter", "Export requests that were refused, by status"),
    "export_failed": ("counter", "Verdicts that an OTLP backend did not take"),
    "open_traces": ("gauge", "Traces that are under way"),
    "held": ("gauge", "Spans and lines that are in memory"),
    "journal_bytes": ("gauge", "Bytes that were acknowledged and are not decided"),
}


@dataclass(slots=True)
class Metrics:
    """What was judged so far."""

    kinds: Counter[str] = field(default_factory=Counter)
    cuts: Counter[tuple[str, ...]] = field(default_factory=Counter)
    orphaned: int = 0
    after_unknown: int = 0
    undelivered_usd: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * len(_BUCKETS_S))
    decided: int = 0
    waited_s: float = 0.0

    def count(self, decided: Decided, now_s: float) -> None:
        """Count one trace's verdicts."""
        examples = [kind.example for kind in decided.told.kinds] if isinstance(decided.told, Told) else None
        for verdict in decided.verdicts if examples is None else examples:
            self._count({name: getattr(verdict, name) for name in _COUNTED} | _behind(verdict))
        self.after_unknown += decided.after_unknown
        took_s = max(0.0, now_s - decided.trace.first_s)
        self.decided += 1
        self.waited_s += took_s
        for at in range(bisect_left(_BUCKETS_S, took_s), len(_BUCKETS_S)):
            self.buckets[at] += 1

    def count_found(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Count verdicts that were written just before a kill, from their rows; how long they took is not known."""
        for row in rows:
            self._count(row)
            self.after_unknown += row["after_unknown"]

    def _count(self, verdict: Mapping[str, Any]) -> None:
        self.kinds[str(verdict["kind"])] += 1
        if verdict["kind"] == Kind.CUT:
            labels = tuple(str(verdict[name] or "") for name in _LABELS)
            if labels not in self.cuts and len(self.cuts) >= _MOST_LABELS:
                labels = _OTHER
            self.cuts[labels] += 1
        behind = verdict["behind"]
        if behind is None:
            return
        self.orphaned += behind["orphaned"]
        if behind["billed"] and (not behind["delivered"] or behind["handed_to"]):
            self.undelivered_usd += behind["billed_usd"]

    def as_plain(self) -> dict[str, Any]:
        """As the journal keeps it."""
        return {
            "kinds": dict(self.kinds),
            "cuts": [[*labels, count] for labels, count in self.cuts.items()],
            "orphaned": self.orphaned,
            "after_unknown": self.after_unknown,
            "undelivered_usd": self.undelivered_usd,
            "buckets": self.buckets,
            "decided": self.decided,
            "waited_s": self.waited_s,
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Metrics:
        """As the journal kept it."""
        return cls(
            kinds=Counter(plain["kinds"]),
            cuts=Counter({tuple(labels): count for *labels, count in plain["cuts"]}),
            orphaned=plain["orphaned"],
            after_unknown=plain["after_unknown"],
            undelivered_usd=plain["undelivered_usd"],
            buckets=list(plain["buckets"]),
            decided=plain["decided"],
            waited_s=plain["waited_s"],
        )

    def exposition(self, state: Mapping[str, float], refused: Mapping[int, int]) -> str:
        """All metrics as text; `state` are the values that are not judged ones, by their names."""
        lines: list[str] = []
        self._sum(lines, "requests", [({"kind": kind}, self.kinds[kind]) for kind in map(str, Kind)])
        cuts = [(dict(zip(_LABELS, labels, strict=True)), count) for labels, count in self.cuts.items()]
        self._sum(lines, "cuts", cuts)
        self._sum(lines, "orphaned_generations", [({}, self.orphaned)])
        self._sum(lines, "retries_after_unknown_outcome", [({}, self.after_unknown)])
        self._sum(lines, "undelivered_usd", [({}, round(self.undelivered_usd, 9))])
        name = _head(lines, "time_to_decide_seconds")
        for bound_s, count in zip(_BUCKETS_S, self.buckets, strict=True):
            lines.append(f'{name}_bucket{{le="{bound_s:g}"}} {count}')
        lines.append(f'{name}_bucket{{le="+Inf"}} {self.decided}')
        lines += [f"{name}_sum {round(self.waited_s, 6)}", f"{name}_count {self.decided}"]
        self._sum(
            lines, "refused_requests", [({"status": str(one)}, refused[one]) for one in sorted(refused)]
        )
        for one, value in state.items():
            self._sum(lines, one, [({}, value)])
        return "\n".join([*lines, ""])

    def _sum(self, lines: list[str], metric: str, values: Sequence[tuple[dict[str, str], float]]) -> None:
        name = _head(lines, metric)
        for labels, value in values:
            told = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
            lines.append(f"{name}{{{told}}} {value}" if told else f"{name} {value}")


def _behind(verdict: Verdict) -> dict[str, Any]:
    return {"behind": asdict(verdict.behind) if verdict.behind else None}


def _head(lines: list[str], metric: str) -> str:
    kind, says = _HELP[metric]
    name = f"whocut_{metric}" + ("_total" if kind == "counter" else "")
    lines += [f"# HELP {name} {says}.", f"# TYPE {name} {kind}"]
    return name


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
