"""The page: one file, true numbers, nothing from outside, nothing unescaped."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

from tests.reports.made_run import MadeRun, article, article_run, censored, delivered, nginx_cut
from tests.verdict.made import summary
from whocut.errors import BadInput
from whocut.trace.rundir import FIGURES, REPORT
from whocut_reports import write_report

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Reader(HTMLParser):
    """The page as somebody reads it: its texts, its headings, its links, the alt texts of its pictures."""

    _VOID = frozenset({"meta", "br", "link", "img"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.headings: list[tuple[str, str]] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.alts: list[str] = []
        self.tags: list[str] = []
        self._open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what matters."""
        named = dict(attrs)
        self.tags.append(tag)
        if tag not in self._VOID:
            self._open.append(tag)
        if named.get("id"):
            self.ids.append(str(named["id"]))
        self.links += [str(named[name]) for name in ("href", "src", "xlink:href") if named.get(name)]
        if tag == "svg":
            self.alts.append(named.get("aria-label") or "")

    def handle_endtag(self, tag: str) -> None:
        """Close what was opened last."""
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        """Collect what is read."""
        text = " ".join(data.split())
        if text and not {"style", "script", "noscript"} & set(self._open):
            self.words.append(text)
            if self._open and self._open[-1] in {"h1", "h2", "h3"}:
                self.headings.append((self._open[-1], text))

    @property
    def text(self) -> str:
        """Everything that is read, in order."""
        return " ".join(self.words)


A_LOAD = {
    "base_url": "http://127.0.0.1:9/v1",
    "stages": [],
    "users": 20,
    "seed": 7,
    "partial_images": 2,
    "upstream_control": None,
}
"""What a manifest holds of a load."""


def page_of(made: MadeRun, path: Path, *, warnings: Sequence[str] = (), **manifest: object) -> str:
    """The page of a made-up run."""
    run = made.write(path / "run", **manifest)
    judged = made.judged()
    run.write_summary(summary(judged.figures, warnings=tuple(warnings)))
    return write_report(run, judged, made.topology).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def article_page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of the article's run, twelve requests a mode."""
    return page_of(article_run(requests=12), tmp_path_factory.mktemp("article"))


def test_the_page_opens_offline(article_page: str) -> None:
    """No address of anything outside, nothing to load, a policy that forbids it; links lead into the page."""
    read = Reader(article_page)
    without_scripts = re.sub(r"<script.*?</script>", "", article_page, flags=re.DOTALL)
    (script,) = re.findall(r"<script>(.*?)</script>", article_page, flags=re.DOTALL)

    assert not {"link", "img", "iframe", "object"} & set(read.tags)
    assert all(link.startswith("#") for link in read.links)
    assert "content=\"default-src 'none';" in article_page
    assert not re.search(r"https?://|//[a-z]", without_scripts)
    assert not re.search(r"url\((?!#)", article_page)
    assert not re.search(r"\b(?:fetch|XMLHttpRequest|import|src)\b", script)
    assert len(article_page) < 1_000_000


def test_the_verdict_comes_first(article_page: str) -> None:
    """Title, then the sentence that says it all, then one for each other mode."""
    text = Reader(article_page).text

    sentence = (
        "NGINX cut 36 of 36 attempts by first_byte (proxy_read_timeout, 60 s). "
        "36 orphaned generations ran on and cost $7.60."
    )
    assert sentence in text
    assert text.index(sentence) < text.index("The chain")
    assert "NGINX cut 33 of 34 attempts by idle (proxy_read_timeout, 60 s). 1 was delivered." in text


def test_modes_of_one_load_are_one_sentence_first(tmp_path: Path) -> None:
    """A mixed day whose first kind nobody cut: the page opens with the run; each kind has its line."""
    made = MadeRun()
    made.request("draft", delivered())
    for _ in range(2):
        made.request("final", nginx_cut())
    stage = {
        "name": "mix",
        "mix": {"draft": 0.5, "final": 0.5},
        "requests": 3,
        "at_once": None,
        "arrivals": None,
    }

    text = Reader(page_of(made, tmp_path, load={**A_LOAD, "stages": [stage]})).text

    whole = (
        "NGINX cut 2 of 3 attempts by first_byte (proxy_read_timeout, 60 s). 1 was delivered. "
        "2 orphaned generations ran on"
    )
    assert text.index(whole) < text.index("draft No layer cut: the only attempt was delivered.")
    assert "final NGINX cut 2 of 2 attempts" in text


def test_modes_one_after_another_open_with_the_first_by_its_name(article_page: str) -> None:
    """They are different questions, and the sentence says which one it answers."""
    text = Reader(article_page).text

    assert "Mode plain: NGINX cut 36 of 36 attempts" in text
    assert "plain the sentence above" in text


def test_the_page_holds_its_parts(article_page: str) -> None:
    """One h1, then sections in the order of questions."""
    headings = Reader(article_page).headings

    assert [text for tag, text in headings if tag == "h1"] == ["whocut · image_generation through article"]
    assert [text for tag, text in headings if tag == "h2"] == [
        "What to do",
        "The chain, from the caller to the model",
        "One request, layer by layer",
        "Every request",
        "Verdicts",
        "Limits against generation times",
        "What each mode cost",
        "Every limit, and where it was read",
        "The run",
    ]
    assert [text for tag, text in headings if tag == "h3"] == [
        "OpenAI Python SDK",
        "Cloudflare (Free)",
        "NGINX",
        "gpt-image-2",
    ]


def test_numbers_agree_with_the_ledger(article_page: str) -> None:
    """Agreement is a sentence, money per image is of delivered ones, and p50 is never of failures."""
    text = Reader(article_page).text

    assert "82 attempts held against the upstream’s ledger, 0 disagree." in text
    assert "none delivered" in text
    assert re.search(r"stream 12 8% 34 2\.83 33 \$7\.17 \$7\.17 [\d.]+ s 112 s 112 s", text)
    assert re.search(r"plain 12 0% 36 3 36 \$7\.60 none delivered – – –", text)


def test_the_gap_that_decided_it_is_said(article_page: str) -> None:
    """Each mode's cuts are explained by the silence they ran into, in the judge's own sentence."""
    judged = article_run(requests=12).judged()
    text = Reader(article_page).text

    for figures in judged.figures.by_mode.values():
        assert figures.decided is not None
        assert figures.decided.sentence in text


def test_pictures_have_words(article_page: str) -> None:
    """Whoever cannot see a picture is told what it shows; no two elements share an id."""
    read = Reader(article_page)

    assert len(read.alts) == 7
    assert all(len(alt) > 40 for alt in read.alts)
    assert "nginx cut by first_byte" in read.alts[0]
    assert "nginx proxy_read_timeout 60 s: 100% beyond" in read.alts[4]
    assert len(read.ids) == len(set(read.ids))


def test_a_stream_is_drawn_beside_the_first_mode(article_page: str) -> None:
    """The most typical request of the first mode, and one of the streamed ones, with the rule of choice."""
    text = Reader(article_page).text

    assert re.search(r"Drawn is plain-\d{4}, one of 12 requests of mode plain, 12 of them", text)
    assert re.search(r"Drawn is stream-\d{4}, one of 12 requests of mode stream, 11 of them", text)
    assert "Rule of choice: the commonest sequence of verdicts" in text


def test_figures_are_files_too(tmp_path: Path) -> None:
    """SVG for every figure, PNG of the waterfall for a README."""
    page_of(article_run(requests=2), tmp_path)

    assert {file.name for file in (tmp_path / "run" / "figures").iterdir()} == {
        "limits.svg",
        "over-time.svg",
        "spending.svg",
        "verdicts.svg",
        "waterfall.svg",
        "waterfall.png",
        "waterfall-stream.svg",
        "waterfall-stream.png",
    }


def test_what_was_written_cannot_become_markup(tmp_path: Path) -> None:
    """Names come from files people write: none of them is an element on the page."""
    evil = "<script>alert(1)</script>"
    made = MadeRun()
    made.request(evil, nginx_cut())

    page = page_of(made, tmp_path, scenario=evil, warnings=[evil], command=["run", evil])

    assert evil not in page
    assert evil in Reader(page).text


def test_no_key_reaches_the_page(tmp_path: Path) -> None:
    """A key on the command line is not repeated, and unknown fields of the manifest stay in the file."""
    made = MadeRun()
    made.request("plain", delivered())

    page = page_of(
        made,
        tmp_path,
        command=["run", "--api-key", "sk-proj-abcdefgh12345678"],
        prompt="a cat on a roof",
        environment={"OPENAI_API_KEY": "sk-12345678"},
    )

    assert "abcdefgh12345678" not in page
    assert "12345678" not in page
    assert "a cat on a roof" not in page


def test_what_the_run_was(tmp_path: Path) -> None:
    """Scenario, chain, clock, seed, versions and command stand at the end."""
    made = MadeRun()
    made.request("plain", delivered())

    text = Reader(
        page_of(
            made,
            tmp_path,
            clock={"written": "scaled:100", "scale": 100.0},
            command=["run", "image_generation", "--chain", "my chain.yaml"],
            versions={"openai": "3.54.0"},
            load=A_LOAD,
        )
    ).text

    assert "whocut run image_generation --chain 'my chain.yaml'" in text
    assert "Clock scaled:100" in text
    assert "openai 3.54.0" in text
    assert "Users 20" in text


def test_a_run_that_is_not_valid_says_so_above_its_headline(tmp_path: Path) -> None:
    """The doubt is read before the sentence it is about, in the tab's title too; a valid run's page has none."""
    made = MadeRun()
    made.request("plain", delivered())

    doubted = page_of(made, tmp_path / "doubted", warnings=["the load generator fell behind"])
    valid = page_of(made, tmp_path / "valid")

    text = Reader(doubted).text
    assert text.index("This run is not valid. What follows may be wrong:") < text.index("No layer cut")
    assert text.index("the load generator fell behind") < text.index("No layer cut")
    assert "<title>whocut: not valid: " in doubted
    assert "not valid" not in valid


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("zero attempts", "No attempt was made."),
        ("only censored", "The run ended before any of 3 attempts did."),
        ("all delivered", "No layer cut: all 3 attempts were delivered."),
        ("no span at all", "The run ended before any of 3 attempts did."),
    ],
)
def test_odd_runs_have_a_page(tmp_path: Path, name: str, says: str) -> None:
    """Whatever a run came to, its page is written and says what it came to."""
    made = MadeRun()
    if name != "zero attempts":
        for _ in range(3):
            made.request("plain", delivered() if name == "all delivered" else censored())
    if name == "no span at all":
        made.spans.clear()

    text = Reader(page_of(made, tmp_path)).text

    assert says in text


def test_the_same_run_gives_the_same_page(tmp_path: Path) -> None:
    """Twice written, byte for byte the same."""
    made = article_run(requests=2)
    run = made.write(tmp_path / "run")

    first = write_report(run, made.judged(), made.topology).read_bytes()

    assert write_report(run, made.judged(), made.topology).read_bytes() == first


def test_without_a_ledger_the_client_s_own_times_are_drawn(tmp_path: Path) -> None:
    """A real endpoint shows no ledger: what the client saw stands there, cut ones censored."""
    made = MadeRun()
    made.request("plain", delivered(44.0))
    made.request("plain", nginx_cut())
    made.ledger.clear()

    text = Reader(page_of(made, tmp_path)).text

    assert "There is no ledger: one step is one attempt, as the client saw it: n = 2." in text
    assert "1 were ended before their image came; they are censored" in text


def test_run_that_was_killed_before_it_was_judged_says_so(tmp_path: Path) -> None:
    """Its page is made from what it had written; whoever reads it must know that there was to be more."""
    made = MadeRun()
    made.request("plain", nginx_cut())
    run = made.write(tmp_path / "run", load={})
    tap = made.write(tmp_path / "tap")  # it has no load of its own, and nothing to be judged by

    page = write_report(run, made.judged(), made.topology).read_text(encoding="utf-8")
    other = write_report(tap, made.judged(), made.topology).read_text(encoding="utf-8")

    assert "has no summary" not in other
    assert "This run has no summary: it was killed before it was judged, or is still under way." in page


def test_text_from_elsewhere_is_drawn_as_it_stands(tmp_path: Path) -> None:
    """Two dollar signs are no formula: a layer may be called so, and a broken formula would end the drawing."""
    edge, *hops = article().hops
    made = MadeRun(topology=replace(article(), hops=(replace(edge, name="edge $5_{$ $"), *hops)))
    made.request("plain", nginx_cut())

    assert "edge $5_{$ $" in page_of(made, tmp_path)


def test_a_report_does_not_write_through_links(tmp_path: Path) -> None:
    """A run directory may come from elsewhere, and its links may lead to files of the reader's own."""
    made = MadeRun()
    made.request("plain", nginx_cut())
    run = made.write(tmp_path / "run")
    mine, folder = tmp_path / "mine", tmp_path / "folder"
    mine.write_text("mine")
    folder.mkdir()
    for name in (REPORT, f"{REPORT}.tmp"):
        (run.path / name).symlink_to(mine)
    (run.path / FIGURES).symlink_to(folder)

    with pytest.raises(BadInput, match="is a link"):
        write_report(run, made.judged(), made.topology)
    (run.path / FIGURES).unlink()
    write_report(run, made.judged(), made.topology)

    assert mine.read_text() == "mine"
    assert not (run.path / REPORT).is_symlink()
    assert list(folder.iterdir()) == []
