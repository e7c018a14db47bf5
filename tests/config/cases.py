"""The cases of `data/*.txt`: files as users have them, what is asked, and what a reader has to answer.

::

    ##### a name
    === nginx.conf
    … the file …
    ? host=img.example.com path=/v1/images/generations
    nginx first_byte=300@12 idle=300@12 total=none tries=3 post buffers=none
    not read: include conf.d/*.conf

Of a layer only what stands there is compared. `kind=SECONDS@LINE` is a limit with its line, `@-` a default, and a
caret behind it says that it is inherited; `kind=none` is no timer, `kind=unknown` an unknown one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

DATA = Path(__file__).with_name("data")


@dataclass
class Question:
    """What is asked of the files, and the lines of the answer."""

    host: str | None = None
    path: str | None = None
    files: tuple[str, ...] = ()
    expected: list[str] = field(default_factory=list)


@dataclass
class Case:
    """Files by their names, and the questions."""

    kind: str
    name: str
    files: dict[str, str] = field(default_factory=dict)
    questions: list[Question] = field(default_factory=list)

    @property
    def id(self) -> str:
        """For pytest."""
        return f"{self.kind}: {self.name}"

    def write(self, folder: Path) -> None:
        """The files, as they lie on a disk."""
        for name, text in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")


def cases() -> list[Case]:
    """All cases, of all formats."""
    return [case for path in sorted(DATA.glob("*.txt")) for case in _of(path)]


def _of(path: Path) -> list[Case]:
    found: list[Case] = []
    name = ""
    lines: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("##### "):
            found.append(Case(path.stem, line[6:]))
            name = ""
        elif line.startswith("=== "):
            name = line[4:]
            lines = []
            found[-1].files[name] = ""
        elif line.startswith("? ") or line == "?":
            said = dict(re.findall(r"(\w+)=(\S+)", line))
            files = tuple(said["files"].split(",")) if "files" in said else tuple(found[-1].files)[:1]
            found[-1].questions.append(Question(said.get("host"), said.get("path"), files))
            name = ""
        elif name:
            lines.append(line)
            found[-1].files[name] = "\n".join(lines) + "\n"
        elif found and found[-1].questions and line.strip():
            found[-1].questions[-1].expected.append(line)
    return found
