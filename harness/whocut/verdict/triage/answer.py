"""The answer of a triage: its fields, as words for people and as JSON for machines."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from whocut.verdict.triage.endings import Cause, EndedBy, Retry
from whocut.verdict.verdict import Grade

if TYPE_CHECKING:
    from whocut.chain.timers import Phase, TimerKind

SECTIONS: Final = {
    Cause.TIMEOUT_CHAIN: "1. Timeouts",
    Cause.MODERATION: "2. moderation_blocked",
    Cause.PARAMETER: "3. Parameter mismatches",
    Cause.RATE_LIMIT: "4. Rate limiting",
    Cause.VERIFICATION: "5. Organization verification",
}
ARTICLE: Final = "Why GPT-Image-2 Generations Fail"  # docs/the-article.md names it
_RETRY: Final = {
    Retry.SAFE: "safe: nothing was started",
    Retry.AFTER_WAIT: "after the wait: nothing was started",
    Retry.PAYS_AGAIN: "pays again: a generation was started most likely, and is billed",
    Retry.USELESS: "useless: the same request ends the same way",
    Retry.UNKNOWN: "unknown: the text does not say whether a generation was started",
}
_OPTIONAL: Final = frozenset({"stage", "field", "retry_after_s", "bucket"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Triage:
    """The answer for one request.

    `layer` is a preset's name, and None where no layer ended it, the text does not tell, or it has no preset; then
    `product` may name the program. `elapsed_s` and `retry_after_s` are seconds. `others` are further requests that
    the same text tells of.
    """

    cause: Cause
    name: str = ""
    layer: str | None = None
    product: str | None = None
    directive: str | None = None
    timer: TimerKind | None = None
    phase: Phase | None = None
    grade: Grade = Grade.UNATTRIBUTED
    status: int | None = None
    elapsed_s: float | None = None
    ended_by: EndedBy = EndedBy.UNKNOWN
    retry: Retry = Retry.UNKNOWN
    stage: str | None = None
    field: str | None = None
    retry_after_s: float | None = None
    bucket: str | None = None
    do: str = ""
    do_not: str = ""
    section: str | None = None
    why: tuple[str, ...] = ()
    alternatives: tuple[str, ...] = ()
    read_as: str = "text"
    others: tuple[Triage, ...] = ()

    def as_words(self) -> list[tuple[str, str]]:
        """For people: a label and what belongs to it, in the order of reading."""
        which = self.product or self.layer
        where = f", {self.phase.while_}" if self.phase else ""
        took = f"{self.elapsed_s:g} s" if self.elapsed_s is not None else None
        rows = [
            ("cause", f"{self.cause}: {self.name}"),
            ("layer", f"{which} ({self.directive}{where})" if which and self.directive else which),
            ("or", ", ".join(self.alternatives)),
            ("ended by", None if self.ended_by is EndedBy.UNKNOWN else str(self.ended_by)),
            ("status", str(self.status) if self.status else None),
            ("took", took),
            ("stage", self.stage),
            ("field", self.field),
            ("bucket", self.bucket),
            ("wait", f"{self.retry_after_s:g} s" if self.retry_after_s is not None else None),
            ("sure", f"{self.grade}: {'; '.join(self.why)}" if self.why else str(self.grade)),
            ("retry", _RETRY[self.retry]),
            ("do", self.do),
            ("do not", self.do_not),
            ("read more", self.section and f'"{ARTICLE}", section {self.section}'),
        ]
        words = [(label, said) for label, said in rows if said]
        if self.others:
            words.append(("others", f"{len(self.others)} more in the text"))
            words += [("", other.in_short) for other in self.others]
        return words

    @property
    def in_short(self) -> str:
        """One line: the cause, the layer, and what it is known by."""
        which = self.layer or self.product
        by = f" by {which}" + (f" ({self.directive})" if self.directive else "") if which else ""
        return f"{self.cause}: {self.name}{by}"

    def as_json(self) -> dict[str, Any]:
        """For machines; `stage`, `field`, `retry_after_s` and `bucket` only where they apply."""
        return _less_empty(asdict(self)) | {"others": [other.as_json() for other in self.others]}


def _less_empty(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value is not None or key not in _OPTIONAL}
