"""The figure of a sweep and that of a ladder, read back from the pictures and from the page."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tests.reports.made_run import MadeRun, censored, delivered, nginx_cut, rejected
from tests.reports.pictures import colours, hatches, texts
from tests.reports.test_page import Reader
from whocut.chain.load import Load, LoadStage
from whocut.verdict.sweep import Level, levels_of, sweep_figures
from whocut_reports import style, write_report
from whocut_reports.figures import steps, sweep

if TYPE_CHECKING:
    from pathlib import Path


def level(concurrency: int, refused: int, gap_s: float = 0.0, *, of: int = 30) -> Level:
    """A level of thirty requests; who was not refused took 80 s."""
    came = of - refused
    return Level(
        concurrency,
        gap_s,
        requests=of,
        seen=of,
        refused=refused,
        came=came,
        taken_s=80.0 * came,
        took_s=[80.0] * came,
        billed_usd=0.05 * came,
    )


ARTICLE = [level(1, 0), level(3, 1), level(3, 0, 2.0), level(5, 4), level(5, 3, 2.0), level(10, 19)]


def drawn(levels: list[Level]) -> str:
    """The figure of these levels as an SVG document."""
    return style.svg(sweep.draw(sweep_figures(levels, 0.01)))


def test_the_figure_says_what_to_set() -> None:
    """The semaphore and the gap at their line, each level on the axis, the gap that was tried in the key."""
    said = texts(drawn(ARTICLE))

    assert "set: 3 at once, gap 2 s" in said
    assert {"1", "3", "5", "10", "no gap", "gap of 2 s", "95% interval"} <= set(said)


def test_the_words_for_who_cannot_see_it_name_every_level() -> None:
    """Alt text with each level's share; a caption with n, what is missing, and the rule of the knee."""
    found = sweep_figures(ARTICLE, 0.01)

    alt, caption = sweep.alt(found), sweep.caption(found)

    assert "10 at once: 63% met a 429" in alt
    assert "5 at once with a gap of 2 s: 10% met a 429" in alt
    assert "30 requests each; 180 requests in all" in caption
    assert "None is missing." in caption
    assert "The knee is the highest level asked at which" in caption


def test_a_sweep_without_an_image_draws_no_mark() -> None:
    """Nothing to set, no rate; and the picture says so."""
    nothing = [
        Level(1, 0.0, requests=4, seen=4, refused=4, taken_s=8.0),
        Level(2, 0.0, requests=4, seen=3, refused=3, censored=1, taken_s=8.0),
    ]

    said = texts(drawn(nothing))

    assert "no image came" in said
    assert not any(text.startswith("set:") for text in said)
    assert "1 request the run’s end stopped" in sweep.caption(sweep_figures(nothing, 0.01))


def test_many_levels_keep_their_axis_readable() -> None:
    """Forty levels do not make forty ticks, and the label stands on the side that has room."""
    said = texts(drawn([level(concurrency, 0) for concurrency in range(1, 41)]))

    ticks = [text for text in said if text.isdecimal() and int(text) > 9]
    assert len(ticks) <= 16
    assert "set: 40 at once, no gap" in said


def test_the_page_of_a_sweep_begins_with_its_answer(tmp_path: Path) -> None:
    """What to set, then the picture, then the chain."""
    made = MadeRun()
    stages = tuple(
        LoadStage(name=name, mix={"plain": 1.0}, requests=3, at_once=at_once)
        for name, at_once in (("1-at-once", 1), ("2-at-once", 2))
    )
    for stage in stages:
        for _ in range(stage.requests):
            made.request(stage.name, delivered(80.0))
    run, judged = made.write(tmp_path / "run", load=load_of(stages)), made.judged()
    levels = levels_of(stages, made.attempts, judged.figures["by_mode"])
    judged.figures["sweep"] = sweep_figures(levels, 0.01)

    page = write_report(run, judged, made.topology).read_text(encoding="utf-8")

    read = Reader(page)
    assert "Keep at most 2 in flight: 0 of 3 requests met a 429" in read.text
    assert (
        read.text.index("Keep at most 2") < read.text.index("How many at once") < read.text.index("The chain")
    )
    (row,) = (line for line in page.splitlines() if line.startswith('<tr><th scope="row">2 ←'))
    assert re.findall(r'class="n">([^<]*)<', row)[:5] == ["–", "3", "0%", "0% to 57%", "0 of 1"]
    assert (run.path / "figures" / "sweep.svg").is_file()
    assert len(read.ids) == len(set(read.ids))


def load_of(stages: tuple[LoadStage, ...]) -> dict[str, Any]:
    """What a manifest says of the load."""
    load = Load(base_url="", stages=stages, users=2, seed=7, partial_images=2, upstream_control=None)
    return load.to_plain()


# --- a ladder ---------------------------------------------------------------------------------------------

STEPS = {"1-defaults": "plain", "2-streaming": "and streamed", "3-none": "and nothing came"}


def ladder() -> MadeRun:
    """Three steps: one of two delivered after a cut and a 429; all; none."""
    made = MadeRun()
    made.request("1-defaults", nginx_cut(), rejected())
    made.request("1-defaults", delivered(80.0))
    made.request("2-streaming", delivered(44.0, (9.0, 30.0)))
    made.request("2-streaming", delivered(44.0, (9.0, 30.0)))
    made.request("3-none", nginx_cut())
    made.request("3-none", censored())
    return made


def test_each_step_has_its_row_and_each_measure_its_number() -> None:
    """Delivered, first byte, image, 429s, orphans, dollars; a dash where there is none, not a zero."""
    by_mode = ladder().judged().figures["by_mode"]

    document = style.svg(steps.draw(STEPS, by_mode))

    said = texts(document)
    assert {"1-defaults", "2-streaming", "3-none", "and streamed"} <= set(said)
    assert {"50%", "100%", "80 s", "44 s", "$0.42", "$0.21"} <= set(said)
    assert said.count("–") == 3
    assert hatches(document) == 2
    assert style.DELIVERED in colours(document)


def test_the_caption_of_a_ladder_says_n_and_what_is_missing() -> None:
    """How many each median is of, which steps have none, and what the run's end stopped."""
    by_mode = ladder().judged().figures["by_mode"]

    caption, alt = steps.caption(STEPS, by_mode), steps.alt(STEPS, by_mode)

    assert "2 requests; it keeps what the steps above it changed" in caption
    assert "1, 2, 0 of them, from above" in caption
    assert "1 step delivered nothing" in caption
    assert "1 request the run’s end stopped" in caption
    assert "2-streaming: delivered 100%" in alt


def test_only_a_ladder_has_the_picture(tmp_path: Path) -> None:
    """The manifest says whether modes are steps; a step that was not asked is left out."""
    made = ladder()
    run = made.write(tmp_path / "run", steps={**STEPS, "4-more": "not asked"})

    page = write_report(run, made.judged(), made.topology).read_text(encoding="utf-8")

    assert "Step by step" in Reader(page).text
    assert steps.steps_of({}, made.judged().figures["by_mode"]) == {}
    assert list(steps.steps_of(run.manifest, made.judged().figures["by_mode"])) == list(STEPS)
