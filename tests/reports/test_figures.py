"""What the figures say, read back from the pictures."""

from __future__ import annotations

from dataclasses import replace

from tests.reports.made_run import (
    MadeRun,
    article,
    article_run,
    censored,
    chain_of,
    delivered,
    layer,
    nginx_cut,
    rejected,
    stream_cut,
    unattributed,
)
from tests.reports.pictures import colours, hatches, texts
from whocut.chain.timers import TimerKind
from whocut.trace.records import SpanKind
from whocut.verdict.censored import Sample
from whocut.waterfall.rows import waterfall
from whocut_reports import style
from whocut_reports.figures import limits, verdicts
from whocut_reports.figures import waterfall as waterfall_figure
from whocut_reports.generations import durations, silences


def fall_of(made: MadeRun, request: str) -> str:
    """The waterfall of a request as an SVG document."""
    fall = waterfall(request, made.judged().attribution, made.attempts)
    return style.svg(waterfall_figure.draw(fall))


# --- waterfall --------------------------------------------------------------------------------------------


def test_the_waterfall_says_the_cut_and_the_orphan() -> None:
    """The knob, how long the model ran on, what that cost, and the verdict's one phrase."""
    made = MadeRun()
    request = made.request("plain", nginx_cut(195.0))

    said = texts(fall_of(made, request))

    assert "cut: proxy_read_timeout 60 s" in said
    assert "runs on 135 s, billed $0.21" in said
    assert "request plain-0001" in said
    assert made.judged().verdicts[0].phrase in said


def test_an_orphan_is_hatched_and_a_delivery_is_not() -> None:
    """Hatching means work for nobody, on the bar and in the key; nothing else is hatched."""
    made = MadeRun()
    cut, came = made.request("plain", nginx_cut()), made.request("plain", delivered())

    assert hatches(fall_of(made, cut)) == 2
    assert hatches(fall_of(made, came)) == 0
    assert style.CUT not in colours(fall_of(made, came))


def test_waiting_and_streaming_differ() -> None:
    """A stream shows both phases, in the layer that cut and in those that followed."""
    made = MadeRun()
    request = made.request("stream", stream_cut())

    shown = colours(fall_of(made, request))

    assert {style.WAITING, style.STREAMING, style.CASCADE, style.CASCADE_STREAMING} <= shown


def test_many_attempts_are_counted_not_listed() -> None:
    """A caption names the first attempts and says how many more there are."""
    made = MadeRun()
    request = made.request("plain", *(nginx_cut() for _ in range(9)), waits_s=[1.0] * 9)

    said = texts(fall_of(made, request))

    assert any(line.startswith("attempt 4: ") for line in said)
    assert "… and 5 more attempts" in said


def test_of_a_client_that_asks_for_ever_the_ends_are_drawn() -> None:
    """Its picture has a bounded height, with the first and the last attempts, and says how many there are."""
    made = MadeRun()
    request = made.request("plain", *(nginx_cut() for _ in range(41)), waits_s=[1.0] * 41)
    fall = waterfall(request, made.judged().attribution, made.attempts)

    drawn = waterfall_figure.draw(fall, phrases=False)

    said = [text.get_text() for text in drawn.texts]
    assert "Drawn are the first 20 and the last 20 of 41 attempts." in said
    assert len([row for row in fall.rows if row.kind is SpanKind.ATTEMPT]) == 41
    assert drawn.get_figheight() < 60


def test_the_last_orphan_label_stays_on_the_picture() -> None:
    """The bar that ends at the right edge wears its label on its hatching: no text leaves the picture."""
    made = MadeRun()
    request = made.request("plain", nginx_cut(), nginx_cut(), nginx_cut(280.0))
    fall = waterfall(request, made.judged().attribution, made.attempts)

    drawn = waterfall_figure.draw(fall)

    with style.look():
        for axes in drawn.axes:
            for text in axes.texts:
                box = text.get_window_extent()
                assert box.x1 <= drawn.bbox.x1
                assert box.x0 >= 0


def test_an_empty_waterfall_says_so() -> None:
    """No span, no rows: a sentence instead of an empty frame."""
    document = fall_of(MadeRun(), "plain-0042")

    assert "no span of this request was written" in texts(document)


# --- verdicts ---------------------------------------------------------------------------------------------


def test_every_attempt_is_in_one_piece() -> None:
    """Cuts by layer and timer, then the rest; the pieces of a mode add up to its attempts."""
    made = MadeRun()
    made.request("plain", nginx_cut(), unattributed(), delivered())
    made.request("plain", rejected())
    made.request("plain", censored())
    made.request("stream", stream_cut())
    judged = made.judged()

    bars = verdicts.count(judged.verdicts, judged.figures.by_mode)

    counted = {
        mode: {piece.label: n for piece, n in zip(bars.pieces, counts, strict=True) if n}
        for mode, counts in zip(bars.modes, bars.counts, strict=True)
    }
    assert counted == {
        "plain": {
            "nginx cut by first_byte": 1,
            "unattributed": 1,
            "rejected by the API": 1,
            "censored: the run ended first": 1,
            "delivered": 1,
        },
        "stream": {"nginx cut by idle": 1},
    }
    assert bars.attempts == (5, 1)
    assert bars.requests == (3, 1)


def test_an_attempt_without_a_span_is_censored() -> None:
    """The client began it and the run ended: the bar still counts it."""
    made = MadeRun()
    made.request("plain", censored())
    made.spans.clear()
    judged = made.judged()

    bars = verdicts.count(judged.verdicts, judged.figures.by_mode)

    assert [piece.label for piece in bars.pieces] == ["censored: the run ended first"]
    assert bars.attempts == (1,)


def test_counts_and_n_are_written() -> None:
    """Each piece wears its count, each mode its n, and the key sums over modes."""
    judged = article_run(requests=12).judged()

    said = texts(style.svg(verdicts.draw(verdicts.count(judged.verdicts, judged.figures.by_mode))))

    assert {"36", "33", "12", "36 attempts,", "12 requests"} <= set(said)
    assert "nginx cut by first_byte: 48" in said
    assert "delivered: 1" in said


def test_no_attempt_is_said() -> None:
    """A run that made none draws a sentence."""
    document = style.svg(verdicts.draw(verdicts.count((), {})))

    assert texts(document) == ["no attempt was made"]


# --- limits -----------------------------------------------------------------------------------------------


def test_each_limit_says_its_layer_knob_and_share_beyond() -> None:
    """One knob that sets two timers is one line; the share is of all generations, orphans as well."""
    sample = Sample((50.0, 80.0, 195.0, 280.0))

    said = texts(style.svg(limits.draw(limits.panels(article(), sample, None))))

    assert "nginx proxy_read_timeout 60 s (first_byte, idle) · 75% beyond" in said
    assert "cloudflare-free Proxy Read Timeout 100 s (first_byte, idle) · 50% beyond" in said
    assert "openai-python timeout.read 600 s (first_byte, idle) · 0% beyond" in said
    assert "generations done (n = 4)" in said


def test_a_stream_is_held_against_its_longest_gap() -> None:
    """The second panel's shares are of the gaps: what a plain request cannot outlast a stream may."""
    made = MadeRun()
    made.request("stream", delivered(100.0, (10.0, 55.0)))  # gaps of 45 s
    made.request("stream", stream_cut(195.0, 10.0))  # gaps of 92.5 s
    took, silent = durations(made.ledger, 1000.0), silences(made.ledger, made.attempts)

    plain, stream = limits.panels(article(), took, silent)

    beyond = {limit.layer: sample.beyond(limit.limit_s) for limit, sample in stream.limits}
    assert beyond == {"nginx": 0.5, "cloudflare-free": 0.0, "openai-python": 0.0}
    assert all(limit.timers == (TimerKind.IDLE,) for limit, _ in stream.limits)
    assert {limit.layer: sample.beyond(limit.limit_s) for limit, sample in plain.limits}["nginx"] == 1.0


def test_a_total_limit_counts_the_whole_generation() -> None:
    """Streaming does not help against `total`: it stands in the first panel only."""
    topology = chain_of(layer("vercel", total=60.0))
    made = MadeRun(topology=topology)
    made.request("stream", delivered(50.0, (10.0, 30.0)))
    took, silent = durations(made.ledger, 100.0), silences(made.ledger, made.attempts)

    plain, stream = limits.panels(topology, took, silent)

    assert "vercel" in {limit.layer for limit, _ in plain.limits}
    assert "vercel" not in {limit.layer for limit, _ in stream.limits}


def test_a_far_limit_does_not_flatten_the_curve() -> None:
    """A limit of an hour stands at the edge with an arrow."""
    topology = chain_of(layer("patient", total=3600.0))

    said = texts(style.svg(limits.draw(limits.panels(topology, Sample((80.0, 195.0)), None))))

    assert "patient patient_total 3600 s (total) · 0% beyond →" in said
    assert "3000" not in said


def test_a_long_knob_is_shortened_and_its_number_kept() -> None:
    """However long the vendor's name, layer, limit and share stay readable and on the picture."""
    long = layer("envoy", idle=300.0)
    timer = replace(long.timers[TimerKind.IDLE], directive="HTTPRouteTimeouts." + "stream_idle_timeout" * 9)
    topology = chain_of(replace(long, timers={TimerKind.IDLE: timer}))

    drawn = limits.draw(limits.panels(topology, Sample((200.0, 310.0)), None))

    (label,) = (text for text in drawn.axes[0].texts if text.get_text().startswith("envoy"))
    assert label.get_text().endswith("… 300 s (idle) · 50% beyond")
    with style.look():
        assert label.get_window_extent().x1 <= drawn.bbox.x1


def test_only_unfinished_generations_claim_no_share() -> None:
    """Nothing was seen to finish: the picture says so, and no share is made up."""
    said = texts(style.svg(limits.draw(limits.panels(article(), Sample((), (40.0, 50.0)), None))))

    assert "none of 2 was seen to finish" in said
    assert any(line.endswith("share beyond unknown →") for line in said)
    assert not any("%" in line and "beyond" in line for line in said)


# --- style ------------------------------------------------------------------------------------------------


def test_the_same_run_gives_the_same_bytes() -> None:
    """No date and no chance in a picture: it can be compared and cached."""
    made = MadeRun()
    request = made.request("plain", nginx_cut())

    assert fall_of(made, request) == fall_of(made, request)


def test_light_type_on_dark_and_dark_type_on_light() -> None:
    """A count is readable on every colour a piece can have."""
    assert style.ink_on(style.UNATTRIBUTED) == style.PAPER
    assert style.ink_on(style.REJECTED) == style.INK
    assert style.ink_on(style.CENSORED) == style.INK
