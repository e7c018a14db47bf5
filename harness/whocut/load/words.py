"""What master and workers say to each other, checked where it comes in: a worker may be of another version, or lie.

A word that cannot be read ends the run with its place. A posted line becomes part of the run directory only if it
can be read back.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Any, Final

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from whocut.errors import BadInput
from whocut.trace import otlp
from whocut.trace.generations import generation_span
from whocut.trace.records import Attempt
from whocut.trace.rows import generation_of
from whocut.trace.rundir import ATTEMPTS, LEDGER, SPANS, attempt_from_row

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Count = Annotated[int, Field(ge=0, le=2**53)]
Seconds = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]
_AS_SAID = ConfigDict(extra="forbid", strict=True, frozen=True)
Sentence = Annotated[str, Field(max_length=4_000)]


class KeptUp(BaseModel):
    """How well a worker kept up, and of one on another machine its clock, held against the master's.

    `clock_off_real_s` is by how much its calendar is later than the master's, `clock_within_real_s` how exactly its
    clock is known. `layers_stall_real_s` is how long the layers of its own chain did nothing at worst.
    """

    model_config = _AS_SAID

    worst_stall_real_s: Seconds
    cpu_s: Seconds
    peak_bytes: Count
    clock_off_real_s: Annotated[float, Field(ge=-1e12, le=1e12, allow_inf_nan=False)] | None = None
    clock_within_real_s: Seconds | None = None
    layers_stall_real_s: Seconds | None = None


class Word(BaseModel):
    """How far a worker is, and the lines it posts."""

    model_config = _AS_SAID

    stage: Annotated[int, Field(ge=-1, le=2**53)]
    answered: Count
    passed_over: Count
    not_asked: Count
    silent: Count
    raised: Count
    raised_first: Sentence | None
    kept_back: Sentence | None
    failed: Sentence | None
    kept_up: KeptUp | None
    lines: dict[str, bytes]
    last: bool


def read_word(worker: str, said: object, epoch_unix_s: float) -> Word:
    """A worker's word, its lines too.

    Raises:
        BadInput: it cannot be read; says what of it.
    """
    try:
        word = Word.model_validate(said)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise _refusal(worker, f"{'.'.join(map(str, first['loc']))[:100]}: {first['msg']}") from None
    for name, lines in word.lines.items():
        check = _CHECKS.get(name)
        if check is None:
            raise _refusal(worker, f"lines for {name[:100]!r}")
        if lines and not lines.endswith(b"\n"):
            raise _refusal(worker, f"a line for {name} without its end")
        for line in lines.splitlines():
            try:
                check(line, epoch_unix_s)
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise _refusal(worker, f"a line for {name}: {str(error)[:200]}") from None
    return word


def _refusal(worker: str, what: str) -> BadInput:
    return BadInput(
        f"worker {worker[:100]} sent what cannot be read: {what}. Use the same version on all machines."
    )


_FIELDS: Final = tuple(field.name for field in fields(Attempt))


def _object(line: bytes) -> dict[str, Any]:
    row: Any = orjson.loads(line)
    if not isinstance(row, dict):
        raise TypeError("it is no object")
    return row


def _attempt(line: bytes, _: float) -> None:
    row = _object(line)
    attempt_from_row({name: row[name] for name in _FIELDS})  # a worker leaves none of them out


def _generation(line: bytes, _: float) -> None:
    row = _object(line)
    generation_of(row)
    generation_span({**row, "state": row["state"]})


def _spans(line: bytes, epoch_unix_s: float) -> None:
    for _ in otlp.decode_line(line, epoch_unix_s):
        pass


_CHECKS: Final[Mapping[str, Callable[[bytes, float], None]]] = {
    ATTEMPTS: _attempt,
    SPANS: _spans,
    LEDGER: _generation,
}
