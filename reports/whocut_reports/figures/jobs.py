"""Jobs: a row a job, from its submit through its polls to its image, or to its last sign of life."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from matplotlib.lines import Line2D

from whocut.trace.records import Outcome, Part
from whocut.trace.requests import by_request
from whocut.words import plural
from whocut_reports import style
from whocut_reports.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matplotlib.figure import Figure

    from whocut.trace.records import Attempt

_MOST = 24
_ROW_IN, _TOP_IN, _RIGHT = 0.27, 0.12, 0.985


@dataclass(frozen=True, slots=True)
class Job:
    """One request that is a job; instants are model seconds since its submit. `image_s` None: no image came."""

    request: str
    mode: str
    polls_s: tuple[float, ...]
    image_s: float | None
    cancel_s: float | None
    end_s: float


def jobs_of(attempts: Iterable[Attempt]) -> tuple[Job, ...]:
    """Every request with a submit, in the order of its submits."""
    found = []
    for request, tries in by_request(attempts).items():
        submit = next((one for one in tries if one.part == Part.SUBMIT), None)
        if submit is None:
            continue
        began_s = submit.started_s
        ends = [one.ended_s if one.ended_s is not None else one.started_s for one in tries]
        came = [one.ended_s for one in tries if one.outcome is Outcome.DELIVERED and one.ended_s is not None]
        cancels = [one.started_s for one in tries if one.part == Part.CANCEL]
        found.append(
            Job(
                request=request,
                mode=submit.mode,
                polls_s=tuple(one.started_s - began_s for one in tries if one.part == Part.POLL),
                image_s=came[0] - began_s if came else None,
                cancel_s=cancels[0] - began_s if cancels else None,
                end_s=max(ends) - began_s,
            )
        )
    return tuple(found)


def draw(jobs: Sequence[Job]) -> Figure:
    """The figure; of many jobs the first, of each mode as many."""
    shown = chosen(jobs)
    with style.look():
        made = Rows(len(shown), _ROW_IN, top_in=_TOP_IN, right=_RIGHT)
        axes = made.axes
        made.scaled(max(max(job.end_s for job in shown) * 1.03, 0.001), "model seconds since the submit")
        for number, job in enumerate(shown):
            made.name(number, job.request, va="center", fontsize=9)
            axes.plot([0, job.end_s], [number, number], color=style.CASCADE, lw=3, zorder=2)
            axes.plot([0], [number], marker=">", ms=7, color=style.INK, lw=0, zorder=4, clip_on=False)
            axes.plot(
                job.polls_s,
                [number] * len(job.polls_s),
                marker="|",
                ms=9,
                color=style.STREAMING,
                lw=0,
                zorder=3,
            )
            if job.cancel_s is not None:
                axes.plot([job.cancel_s], [number], marker="X", ms=9, color=style.CUT, lw=0, zorder=5)
            if job.image_s is not None:
                axes.plot([job.image_s], [number], marker="o", ms=8, color=style.DELIVERED, lw=0, zorder=5)
        made.key(
            [
                Line2D([], [], lw=0, marker=marker, ms=8, color=colour, label=label)
                for marker, colour, label in (
                    (">", style.INK, "submit"),
                    ("|", style.STREAMING, "poll"),
                    ("o", style.DELIVERED, "the image came"),
                    ("X", style.CUT, "cancel"),
                )
            ]
        )
    return made.figure


def chosen(jobs: Sequence[Job]) -> list[Job]:
    """The jobs that are drawn, mode after mode."""
    modes = list(dict.fromkeys(job.mode for job in jobs))
    each = max(1, _MOST // len(modes))
    return [job for mode in modes for job in [one for one in jobs if one.mode == mode][:each]][:_MOST]


def alt(jobs: Sequence[Job]) -> str:
    """The counts in words."""
    came = sum(job.image_s is not None for job in jobs)
    polls = sum(len(job.polls_s) for job in jobs)
    return f"Jobs. {plural(len(jobs), 'job')} with {plural(polls, 'poll')}; the image of {came} came."


def caption(jobs: Sequence[Job]) -> str:
    """What is drawn, and what is not."""
    shown = len(chosen(jobs))
    left = f" Drawn are {shown} of {len(jobs)}, of each mode the first." if shown < len(jobs) else ""
    return f"One row is one job as its client saw it.{left}"
