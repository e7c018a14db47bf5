"""Source code among what is pasted: its words are the program's, and tell of no request.

A text is code where nearly all of its lines are, and none is what a program prints when it fails. A short text
is never taken for code.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from whocut.verdict.triage.unwrap import Unwrapped

_FEWEST: Final = 8  # lines that are enough to tell
_SHARE: Final = 0.75  # of the lines that are code
_MOST: Final = 400  # lines that are looked at

_CODE: Final = re.compile(
    r"^\s*(?://|/\*|\*/|\*\s|\*$|\"\"\"|'''|#\s|#include|#define|#if|#endif|@\w)"
    r"|^\s*(?:func|def|class|import|package|return|const|let|var|public|private|protected|static|elif|else|for|while"
    r"|switch|case|try|except|raise|throw|assert|require|fn|impl|match|use|pub|struct|enum|type|interface|async|await"
    r"|if|end|self|this|my|sub|local)\b"
    r"|^\s*from\s[\w.]{1,80}\simport\b"
    r"|[;{}(,\[]\s*(?://[^\n]{0,200})?$|^\s*[)\]}]|\)\s*:?\s*$"
    r"|^\s*[\w.\[\]]{1,80}\s{0,8}(?::=|[+|-]?=)\s{0,8}\S"
)
_PRINTED: Final = re.compile(
    r"\d{4}[-/]\d\d[-/]\d\d[ T]\d\d:\d\d|^Traceback|^\s+at \S|^\s*(?:error|fatal|panic|warning|curl|caused by)\b"
    r"|^[\w.$\\]{1,120}(?:Error|Exception|Timeout|Timedout|Fault)\w{0,20}\b[^=(;{]{0,40}(?::|$)|^[<>*] |^HTTP/\d"
    r"|^\s*\[cause\]|^\s{0,8}File \"|\[(?:error|warn|info|debug)\w*\]|^[\w.-]{1,40}: [^;{]{20,}[^;{,(]$",
    re.IGNORECASE,
)


def is_code(pasted: Unwrapped) -> bool:
    """Whether a text is a piece of source code and nothing else."""
    lines = [line for line in pasted.levels[0].split("\n", _MOST)[:_MOST] if line.strip()]
    if len(lines) < _FEWEST or any(_PRINTED.search(line[:400]) for line in lines):
        return False
    return sum(_CODE.search(line[:400]) is not None for line in lines) >= _SHARE * len(lines)
