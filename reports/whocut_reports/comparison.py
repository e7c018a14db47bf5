"""Pages without a script: of a comparison, and of a run directory that cannot be judged."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from whocut.compare import words
from whocut_reports.templating import environment, static

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup

    from whocut.compare.decide import Comparison


def comparison_page(seen: Sequence[Comparison]) -> str:
    """The page of one comparison or more."""
    return str(_templates().get_template("compare.html.j2").render(seen=seen))


def unreadable_page(name: str, said: str) -> str:
    """The page of a run directory of which nothing can be judged."""
    return str(_templates().get_template("unreadable.html.j2").render(name=name, said=said))


@cache
def look() -> Markup:
    """The one style sheet of all pages."""
    return static("page.css")


@cache
def _templates() -> Any:
    templates = environment()
    templates.globals.update(
        look=look(),
        answer_words=words.answer_words,
        more_words=words.more_words,
        rule_words=words.rule_words,
        interval=words.interval,
        change_word=words.change_word,
        attempts_word=words.attempts_word,
    )
    return templates
