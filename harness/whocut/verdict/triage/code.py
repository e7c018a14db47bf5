"""Source code and reference texts in a paste: their words are a program's or a manual's, and tell of no request.

A text is code where nearly all of its lines are, with comments and docstrings, and none is what a program
prints when it fails. A reference is known by its form: headings of versions, roles of Sphinx, a list of errors
by name. No line of it tells of something that happened. A short text is never taken for either.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whocut.verdict.triage.unwrap import Unwrapped

_FEWEST: Final = 8  # lines that are enough to tell
_FEW: Final = 3  # lines that are enough where each of them is code, and one is nothing else
_SHARE: Final = 0.75  # of the lines that are code
_MOST: Final = 400  # lines that are looked at
_LONGEST: Final = 400  # characters of a line that are looked at
_LISTED: Final = 3  # errors by name that make a list

_PACKED: Final = 400  # characters that a line of a packed program has at least
_SEEN: Final = 4000  # of them that are looked at
_SPACES: Final = 0.1  # the share of spaces that it has at most
_MARKS: Final = 0.1  # the share of marks that it has at least

_OF_A_RECORD: Final = 0.6  # of the lines that are a record's
_RECORD: Final = re.compile(r"^\s{0,80}(?:\"[\w.@/$-]{1,80}\": ?\S|[{}\[\]]{1,4},?\s*$)")
_KEYWORDS: Final = re.compile(
    r"(?<![\w$])(?:function|return|this|var|let|const|new|throw|void 0|await)(?![\w$])|=>"
)
# A field with its type, as Python writes it.
_ANNOTATED: Final = (
    r"^\s*\w{1,80}: (?:str|int|float|bool|bytes|dict|list|tuple|set|frozenset|object|Any|Optional|List|Dict"
    r"|Set|Tuple|Union|Literal|Iterable|Sequence|Mapping|Required|NotRequired|Final|ClassVar|TypeAlias|Callable)\b"
)
_FIELD: Final = re.compile(rf"{_ANNOTATED}|^\s*[A-Za-z_]\w{{0,80}} = ")  # a docstring may follow it
_COMMENT: Final = re.compile(r"^\s*(?:#\s|#$|//|/\*|\*/|\*\s|\*$|--\s|;;)")
_CODE: Final = re.compile(
    r"^\s*(?://|/\*|\*/|\*\s|\*$|\"\"\"|'''|#\s|#$|#include|#define|#if|#endif|@\w)"
    r"|^\s*(?:func|def|class|import|package|return|const|let|var|public|private|protected|static|elif|else|for|while"
    r"|switch|case|try|except|raise|throw|assert|require|fn|impl|match|use|pub|struct|enum|type|interface|async|await"
    r"|if|unless|with|end|self|this|my|sub|local|print|printf|warn|die|next|begin|rescue|module|yield)\b"
    r"|^\s*from\s[\w.]{1,80}\simport\b"
    r"|[;{}(,\[]\s*(?://[^\n]{0,200})?$|^\s*[)\]}]|\)\s*:?\s*$"
    r"|^\s*[\w.\[\]]{1,80}\s{0,8}(?::=|[+|-]?=)\s{0,8}\S"
    rf"|{_ANNOTATED}|\S {{2}}# \w"
)
_SURELY: Final = re.compile(
    r"^\s*(?:async def|def|class|with|if|for|while|func|fn|self\.\w{1,60})(?!\w)[^\n]{0,300}[:{()]\s*$|^import \w"
)
_STATEMENT: Final = re.compile(
    r"^\s*(?:class|def|with|raise|throw|except|catch|if|elif|else|for|while|return|import|from|func|fn|rescue|when|case)\b"
    r"(?!.{0,200}(?::\s\S.{0,200}[^:{(,;]$))"
    r"|^\s*[\w.\[\]]{1,80}\s{0,4}(?::=|=)\s|^\s*(?:panic|error|fatal|warning)\([^)]{0,200}\)\s*$"
    r"|^(?:[^:\n]|::){1,400}[;{,]\s*$"
    r"|%[sdrvq]\b|%\(|\{\w{0,40}\}|\$\{\w|\{\d\}"
    r"|^\s*raise [\w.]{1,80}\(|^\s*(?:except|else|elif|finally|try)\b[^\n]{0,100}:\s{1,4}#"
    rf"|^\s*[bfru]{{0,2}}[\"'][^\n]{{0,300}}[\"'],\s*$|{_ANNOTATED}"
)
_PRINTED: Final = re.compile(
    r"\d{4}[-/]\d\d[-/]\d\d[ T]\d\d:\d\d|^Traceback|^\s+at \S|^\s*(?:error|fatal|panic|warning|curl|caused by)\b"
    r"|^[\w.$\\]{1,120}(?:Error|Exception|Timeout|Timedout|Fault)\w{0,20}\b[^=(;{]{0,40}(?::|$)|^[<>*] |^HTTP/\d"
    r"|^#\d{1,3} |^goroutine \d|\b(?:error|exception|fatal|failed|failure|stack ?trace)\b[^=(;{\"'\n]{0,60}:"
    r"|\w\.(?:go|rb|php|py|js|ts|mjs|cjs|java|kt|rs|cs|exs?)[:(]\d"
    r"|^\s*\[cause\]|^\s{0,8}File \"|\[(?:error|warn|info|debug)\w*\]|^[\w.-]{1,40}: [^;{]{20,}[^;{,(]$",
    re.IGNORECASE,
)
_HAPPENED: Final = re.compile(
    r"\d{4}[-/]\d\d[-/]\d\d[ T]\d\d:\d\d|\d\d:\d\d:\d\d|^\s*Traceback|^\s+at \S"
    r"|^\s*(?:fatal|panic|curl|caused by)\b|^\s*(?:Uncaught )?Error: "
    r"|^\s*(?:[\w$\\.]{0,80}\.)?[A-Z]\w{1,80}(?:Error|Exception|Timeout|Fault)\w{0,20}(?:: \S|\s*$)"
    r"|^[<>] (?:HTTP/|POST |GET |[\w-]{1,40}: )"
    r"|^\* (?:Trying|Connected|Could|Failed|Operation|Closing|Recv|SSL|TLS)"
    r"|^HTTP/\d|^goroutine \d|\[(?:error|warn|info|debug)\w*\]|^\s{0,8}File \"|<html|<title"
    r"|^(?:DEBUG|INFO|WARN|WARNING|ERROR|CRITICAL|FATAL|TRACE)[: ]\S"
    r"|\w\.(?:go|rb|php|py|js|ts|mjs|cjs|java|kt|rs|cs|exs?):\d"
    r"|\b(?:GET|POST|PUT|PATCH) /\S{1,200} \W{0,3}[45]\d\d\b"
)
_REFERENCE: Final = (
    re.compile(
        r"(?m)^(?:#{1,4}[ \t]{1,4})?\[?(?:version |release )?v?\d{1,4}\.\d{1,4}(?:\.\d{1,5})?\w{0,12}\]?"
        r"(?=[ \t(:-]|$)"
    ),
    re.compile(r"(?m)^[ \t]{0,24}\.\. [\w-]{2,40}::|:(?:class|func|meth|attr|exc|mod|ref|py:\w{1,12}):`"),
    re.compile(
        r"(?m)^=(?:head\d|item|over|back|cut)\b|^\.(?:SH|TP|PP|IP|BR|Fl|Er|It)\b|[CLIF]<[^<>\n]{1,80}>"
    ),
    re.compile(r"(?m)^[ \t]{0,24}[#*][ \t]{1,4}(?::call-seq:|@param|@return|@throws|=== )"),
    re.compile(r"(?m)\*\*Defaults?:?\*\*|^<!-- YAML|^added: v\d"),
    re.compile(r"\"shape\":[ ]{0,2}\"|\"\$ref\":|\"documentation\":"),
)
_SPAN: Final = re.compile(r"`[^`\n]{1,80}`")
_FAILING: Final = re.compile(
    r"(?i)error|fail|time[ds]?[- ]?out|refused|reset\b|closed|abort|\bh[au]ng|(?<![\d.])[45]\d\d(?![\d.])|\bcut\b"
    r"|too long|\bslow"
)
_BULLET: Final = re.compile(r"(?m)^[ \t]{0,8}[-*•] \S")
_NAME: Final = re.compile(
    r"(?<![\w$])(?:[A-Z][a-z0-9]{1,24}(?:[A-Z][a-z0-9]{1,24}){0,6}(?:Error|Exception|Fault|Timeout)"
    r"|E[A-Z]{4,16}|(?:ERR|SSL_ERROR|ERROR|CURLE|NS_ERROR)_[A-Z0-9_]{3,40})(?![\w$])"
)


def is_code(pasted: Unwrapped) -> bool:
    """Whether a text is a piece of source code and nothing else."""
    if pasted.objects and pasted.levels[0].lstrip()[:1] in {"{", "["}:
        return False  # a record of a log, laid out
    lines = _lines(pasted)
    if sum(bool(_RECORD.match(line)) for line in lines) > _OF_A_RECORD * len(lines):
        return False  # a record with a remark before or behind it
    if any(_is_packed(line) for line in pasted.levels[0].split("\n", 3)[:3]):
        return True
    if len(lines) < _FEWEST and not (len(lines) >= _FEW and any(_SURELY.search(line) for line in lines)):
        return False
    code = 0
    for line, quoted in _with_docstrings(lines):
        is_its_own = quoted or _COMMENT.search(line) or _STATEMENT.search(line)
        if not is_its_own and _PRINTED.search(line):
            return False
        code += quoted or _CODE.search(line) is not None
    return code >= (_SHARE if len(lines) >= _FEWEST else 1) * len(lines)


def _is_packed(line: str) -> bool:
    """Whether a line is of a program without its spaces: long, and of marks that no message has so many of."""
    if len(line) < _PACKED or line[:_SEEN].count(" ") > _SPACES * len(line[:_SEEN]):
        return False
    piece = line[:_SEEN]
    marks = sum(piece.count(mark) for mark in "(){};=&|?!")
    return marks > _MARKS * len(piece) and len(_KEYWORDS.findall(piece)) >= _LISTED


_OF_CODE: Final = re.compile(
    r"\"\"\"|``\w|^\s*(?:raise|throw new) [\w.]{1,80}\(|^\s*@\w|\[(?:Literal|Required|str)\["
    rf"|{_ANNOTATED}|{_SURELY.pattern}"
)


def has_code(pasted: Unwrapped) -> bool:
    """Whether a line of a text is surely of a program or of its documentation."""
    return any(_OF_CODE.search(line) for line in _lines(pasted))


def is_reference(pasted: Unwrapped) -> bool:
    """Whether a text explains or lists errors by its form, and no line of it tells that one happened."""
    lines = _lines(pasted)
    whole = pasted.levels[0].count("\n") < _MOST  # of a longer text the end is not looked at, and may tell
    if not whole or len(lines) < 3 or any(_HAPPENED.search(line) for line in lines):
        return False
    text = "\n".join(lines)
    if len(set(_NAME.findall(text))) >= _LISTED or _only_mentions(text):
        return True
    changes, *forms = _REFERENCE
    return bool((changes.search(text) and _BULLET.search(text)) or any(form.search(text) for form in forms))


def _only_mentions(text: str) -> bool:
    """Whether a text of several points names errors in code spans alone, and says of none that it came."""
    if len(_SPAN.findall(text)) < _LISTED or len(_BULLET.findall(text)) == 0:
        return False
    return _FAILING.search(_SPAN.sub("", text)) is None


def _lines(pasted: Unwrapped) -> list[str]:
    return [line[:_LONGEST] for line in pasted.levels[0].split("\n", _MOST)[:_MOST] if line.strip()]


def _with_docstrings(lines: list[str]) -> Iterator[tuple[str, bool]]:
    """Each line, and whether it is in a docstring; a piece may begin in the middle of one."""
    within = _begins_within(lines)
    for line in lines:
        marks = line.count('"""') + line.count("'''")
        yield line, within or marks > 0
        within ^= marks % 2 == 1


def _begins_within(lines: list[str]) -> bool:
    """Whether the first mark of a docstring closes one: it is alone, and nothing opens before it."""
    for number, line in enumerate(lines):
        if '"""' in line or "'''" in line:
            alone = line.strip() in {'"""', "'''"}
            before = lines[number - 1].rstrip() if number else ""
            opens = before.endswith((":", "(", "=", ",", "\\")) or _FIELD.search(before) is not None
            return alone and number > 0 and not opens
    return False
