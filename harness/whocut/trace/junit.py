"""JUnit XML, as CI servers read it: one test case a check. The one writer of it.

Jenkins and pytest show a failure's `message`, GitLab shows its text alone: so the sentence is in both.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# What XML 1.0 cannot hold at all, not even escaped: a program's last words may be coloured.
_NOT_XML = re.compile(r"\x1b\[[0-9;]*m|[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Case:
    """One check: kept, unless it has a sentence in `failure`, or in `skipped` why it does not count."""

    name: str
    failure: str | None = None
    skipped: str | None = None
    details: tuple[str, ...] = ()


def junit(suite: str, classname: str, cases: Sequence[Case]) -> bytes:
    """The file, whole."""
    root = ET.Element(
        "testsuite",
        name=_text(suite),
        tests=str(len(cases)),
        failures=str(sum(case.failure is not None for case in cases)),
        errors="0",
        skipped=str(sum(case.failure is None and case.skipped is not None for case in cases)),
    )
    for case in cases:
        element = ET.SubElement(root, "testcase", classname=classname, name=_text(case.name))
        if case.failure is not None:
            failure = ET.SubElement(element, "failure", message=_text(case.failure))
            failure.text = _text("\n".join([case.failure, *case.details]))
        elif case.skipped is not None:
            ET.SubElement(element, "skipped", message=_text(case.skipped))
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))


def _text(written: str) -> str:
    return _NOT_XML.sub("", written)
