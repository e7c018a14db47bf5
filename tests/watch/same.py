"""Whether a watch judges spans as the codec and the judge of single requests do: trace by trace, word by word."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from whocut.errors import BadInput
from whocut.foreign.material import judge_material
from whocut.foreign.signed import Signatures, Told
from whocut.watch.desk import Decided, Trace
from whocut.watch.lines import VerdictLines

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from whocut.chain.layers import Topology
    from whocut.trace.lean import Row, Rows
    from whocut.trace.records import Span
    from whocut.verdict.verdict import Verdict

    Judged = dict[str, tuple[Verdict, ...] | str]


class Watched:
    """What a watch knows of the traces that came before."""

    def __init__(self, chain: Topology | None = None) -> None:
        self.chain = chain
        self.signatures = Signatures(chain)
        self.lines = VerdictLines()
        self.by_signature = 0

    def unlike(self, taken: Iterable[Rows], spans: Iterable[Span]) -> str | None:
        """How rows are judged otherwise than the spans that the codec makes of the same bytes; None: the same."""
        expected, found = _by_itself(spans, self.chain), self._judged(taken)
        for trace_id in {**expected, **found}:
            if expected.get(trace_id) != found.get(trace_id):
                return f"trace {trace_id}: {found.get(trace_id)}, and by itself {expected.get(trace_id)}"
        return None

    def _judged(self, taken: Iterable[Rows]) -> Judged:
        of_trace: dict[str, list[Row]] = {}
        for rows in taken:
            for trace_id, some in rows.items():
                of_trace.setdefault(trace_id, []).extend(some)
        judged: Judged = {}
        for trace_id, whole in of_trace.items():
            try:
                told = self.signatures.judge(trace_id, whole)
            except BadInput as error:
                judged[trace_id] = str(error)
                continue
            self.by_signature += isinstance(told, Told)
            decided = Decided(Trace(trace_id, 0.0, 0.0), told)
            judged[trace_id] = self._misprinted(decided) or decided.verdicts
        return judged

    def _misprinted(self, decided: Decided) -> str | None:
        """How the lines differ from what their verdicts are."""
        verdicts = decided.verdicts
        lines = list(self.lines.of(decided))
        for line, verdict in zip(lines, verdicts, strict=True):
            row = verdict.as_json() | {
                "trace": decided.trace.trace_id,
                "of": len(verdicts),
                "after_unknown": 0,
            }
            if line != orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE):
                return f"{line!r} is not the line of {verdict}"
        return None


def _by_itself(spans: Iterable[Span], chain: Topology | None) -> Judged:
    """Each trace by the judge of single requests; a span that was sent twice is one."""
    of_trace: dict[str, dict[str, Span]] = {}
    for span in spans:
        of_trace.setdefault(span.trace_id, {})[span.span_id] = span
    return {trace_id: _verdicts(list(found.values()), chain) for trace_id, found in of_trace.items()}


def _verdicts(spans: Sequence[Span], chain: Topology | None) -> tuple[Verdict, ...] | str:
    try:
        return tuple(judge_material(spans, (), (), chain, all_there=False)[0])
    except BadInput as error:
        return str(error)
