"""Reading a drawn SVG back: its texts and its sizes."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

_SVG = "{http://www.w3.org/2000/svg}"


def texts(document: str) -> list[str]:
    """Every text of a picture, in the order of drawing."""
    found = ("".join(text.itertext()).strip() for text in ET.fromstring(document).iter(f"{_SVG}text"))
    return [text for text in found if text]


def colours(document: str) -> set[str]:
    """Every fill colour and stroke colour in it."""
    return set(re.findall(r"#[0-9a-f]{6}", document))


def hatches(document: str) -> int:
    """How many shapes are filled with a pattern."""
    return len(re.findall(r"fill: url\(#", document))
