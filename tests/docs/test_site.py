"""The site: it builds without the network or a broken link, holds the catalogue, and two clicks lead to a fix."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlparse

import pytest

from tests.docs.blocks import ROOT
from whocut.chain.catalogue import catalogue
from whocut.show.layer_pages import pages

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.sockets

LAYERS = ROOT / "docs" / "layers"


class Links(HTMLParser):
    """What a page links to, and what it loads by itself."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note it."""
        named = dict(attrs)
        if tag == "a" and named.get("href"):
            self.links.append(str(named["href"]))
        if tag in {"script", "img", "iframe"} and named.get("src"):
            self.loads.append(str(named["src"]))
        if tag == "link" and named.get("rel") in {"stylesheet", "preconnect", "icon"} and named.get("href"):
            self.loads.append(str(named["href"]))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built where no name of a host can be looked up: a proxy that is not there takes every request."""
    folder = tmp_path_factory.mktemp("site")
    config = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    (folder / "mkdocs.yml").write_text(
        config.replace("site_dir: build/site", "site_dir: site"), encoding="utf-8"
    )
    shutil.copytree(ROOT / "docs", folder / "docs")
    nowhere = "http://127.0.0.1:9"
    done = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict", "--clean", "--config-file", "mkdocs.yml"],
        cwd=folder,
        env={**os.environ, "http_proxy": nowhere, "https_proxy": nowhere},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "site"


def test_site_loads_nothing_from_elsewhere(site: Path) -> None:
    """Every script, style and picture of every page lies in the site itself."""
    for page in site.rglob("*.html"):
        for load in Links(page).loads:
            assert not urlparse(load).netloc, (page, load)
            if page.name != "404.html":  # its addresses count from the root of a server
                assert (page.parent / urlparse(load).path).resolve().is_file(), (page, load)


def test_from_the_front_page_to_a_verdict_on_a_504_are_two_clicks(site: Path) -> None:
    """The first leads to the page of the question, whose first command is the verdict; the second to the layer."""
    front = Links(site / "index.html")

    assert "who-cut.html" in front.links
    question = (site / "who-cut.html").read_text(encoding="utf-8")
    text = re.sub(r"<[^>]+>", "", question)
    assert text.index("whocut triage error.txt") < text.index("whocut run")
    second = [urljoin("who-cut.html", link) for link in Links(site / "who-cut.html").links]
    assert "layers/index.html" in second
    assert "right-chain.html" in second


def test_each_question_is_on_the_front_page(site: Path) -> None:
    """All five, and the wall behind them: rules, cards, claims, limits."""
    links = set(Links(site / "index.html").links)

    for page in (
        "who-cut",
        "right-chain",
        "how-many",
        "client-behaves",
        "where-job",
        "limits",
        "attribution",
    ):
        assert f"{page}.html" in links


def test_pages_of_layers_are_the_catalogue() -> None:
    """Made anew they are the same, each layer has a section, and each limit a source."""
    made = pages()

    assert {file.name for file in LAYERS.iterdir()} == set(made)
    for name, text in made.items():
        assert (LAYERS / name).read_text(encoding="utf-8") == text, f"make {name} anew"
    sections = {line[3:] for text in made.values() for line in text.splitlines() if line.startswith("## ")}
    assert len(sections) == len({id(entry) for entry in catalogue().values()})
    assert all(entry.source for entry in catalogue().values())
