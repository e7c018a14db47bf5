"""Where the pages' templates, their style sheet and their script come from."""

from __future__ import annotations

from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


def environment() -> Environment:
    """The templates of this package: escaped, and an unknown name in one is an error."""
    return Environment(
        loader=PackageLoader("whocut_reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def static(name: str) -> Markup:
    """A file of ours, to be put into a page as it is."""
    text = (files("whocut_reports") / "static" / name).read_text(encoding="utf-8")
    return Markup(text)  # noqa: S704  # our own file
