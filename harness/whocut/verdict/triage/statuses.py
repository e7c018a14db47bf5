"""The statuses of a text, however they are written, and how each is written.

A number is taken for a status by what is around it; no other number counts. Every pattern is bounded
on each side, so that reading is linear in the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum
from itertools import islice
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_MOST: Final = 1000  # hits of one pattern that are looked at


class How(IntEnum):
    """How a text writes a status, weakest first."""

    WORDS = 1  # by its reason phrase alone
    OWN = 2  # what the speaker answered its own caller: an access line, a log's field
    SAID = 3  # with a word that calls it a status
    ANSWERED = 4  # a response's own head, body or title


@dataclass(frozen=True, slots=True)
class Status:
    """A status, and where it is."""

    code: int
    how: How
    at: int


_REASONS: Final = (
    r"gateway[ _-]?time-?out|gateway time|bad[ _]gateway|service (?:temporarily )?unavailable"
    r"|internal[ _]server[ _]error"
    r"|too many requests|origin time-?out|a timeout occurred|connection timed out|web server|origin is|bad request"
    r"|unauthori[sz]ed|forbidden|not found|request time-?out|client closed request|payment required|unprocessable"
    r"|payload too large|content too large|request entity|server error|proxy error|deadline_exceeded"
    r"|resource_exhausted|unavailable|invalid_argument|not acceptable|conflict|error\b"
)
_NUMBER: Final = (
    r"([1-5]\d\d)(?![\w.,:/-]?\d|\w|[ ]?(?:ms|s|sec|seconds|bytes|kb|mb|px"
    r"|characters|tokens|images|times|%)\b)"
)
_BARE: Final = re.compile(r"(?m)^[ \t>]{0,8}([45]\d\d)(?=$|[ \t:,;])(?![ \t]{0,4}\|)")
_STATUSES: Final = (
    # a response's head; a bare one begins its line
    (re.compile(r"(?m)(?:^[<\s]{0,4}|[\"'])HTTP/[\d.]{1,4} ([1-5]\d\d)\b"), How.ANSWERED),
    (re.compile(r"(?i)<title>[^<\n]{0,120}?(?<!\d)([45]\d\d)(?!\d)"), How.ANSWERED),
    (re.compile(rf"(?i)\berror code: ?{_NUMBER}"), How.ANSWERED),
    (re.compile(r"(?i)\b(?:http )?status(?:[ _-]?code)? of ([45]\d\d)\b"), How.SAID),
    # an access line: the answer of the one that wrote it
    (re.compile(r'(?i)HTTP/[\d.]{1,4}["\']{1,2} ([1-5]\d\d)\b'), How.OWN),
    (
        re.compile(
            r"\b(?:GET|POST|PUT|PATCH"
            r"|DELETE) [^\s\"']{1,300}(?: HTTP/[\d.]{1,4})?[\"']?[ :=>→-]{1,4}([45]\d\d)\b(?!\.\d)"
        ),
        How.OWN,
    ),
    # the method, the answer, the path: a platform's own rows; and a column of its own between two bars
    (
        re.compile(r"\b(?:GET|POST|PUT|PATCH|DELETE)\]?[ \t|:]{0,4}(?<![A-Z])([45]\d\d)(?=[ \t|,;:]|$)"),
        How.OWN,
    ),
    # in a program's own words, before whose it is: `400 from images/edits`, `502 from upstream`
    (
        re.compile(
            r"(?i)(?<![\w.:/-])([45]\d\d) from (?=(?:the )?(?:api|upstream|origin|backend|gateway|server|provider"
            r"|proxy|model)\b|[\w.-]{1,60}/)"
        ),
        How.SAID,
    ),
    (re.compile(r"- ([45]\d\d) (?:\d{3}|-) - (?:GET|POST|PUT|PATCH|DELETE)\b"), How.OWN),
    (re.compile(r"(?<=\|)[ \t]{0,6}([45]\d\d)(?=[ \t]{0,6}\|)"), How.OWN),
    # in the first column of a row whose second is a duration, behind the logger's own brackets
    (
        re.compile(
            r"(?<=\])[ \t]{1,4}([45]\d\d)(?=[ \t]{1,4}\|[ \t]{0,16}[\dhm.]{1,16}(?:[mµn]?s)[ \t]{0,8}\|)"
        ),
        How.OWN,
    ),
    (
        re.compile(
            r"(?i)(?<![a-z])(?:http[ _-]?)?(?:status|response|result|http|returned|returns|gives back"
            r"|gave back|answered|responded|replied|got|received)"
            r"(?:(?: with| an?| http| status|[ _-]?code)){0,3}(?:_[dsl])?[\"']?[ \t]{0,3}[:=(#|]?[ \t]{0,3}[\"'(]?"
            rf"(?:an? |http )?{_NUMBER}"
        ),
        How.SAID,
    ),
    (
        re.compile(
            rf"(?i)[\"']?\b(?:code|param|status_?code|http_?code|errcode|error_code"
            rf"|upstream_status|last status)[\"']?"
            rf"[ \t]{{0,2}}[:=][ \t]{{0,2}}[\"']?{_NUMBER}"
        ),
        How.SAID,
    ),
    (re.compile(rf"(?i)(?<![\d.:/x-])([45]\d\d)[ \t]?[:()\-–—]{{0,2}}[ \t]?[(\"']?(?:{_REASONS})"), How.SAID),
    # in Chinese and Japanese, without a space: `直接返回504`, `报了504错误`, `502エラー`
    (
        re.compile(
            r"(?:返回|给出|給出|报了?|報了?|提示|出现了?|出現|收到|得到|抛出|显示|顯示|变成|回傳|一直|总是|經常|经常|老是)"
            r"[ ]?([45]\d\d)(?![\d.]|[ ]?(?:秒|ms|s\b|px|个|张))"
        ),
        How.SAID,
    ),
    (
        re.compile(r"(?<![\d.:/-])([45]\d\d)[ ]?(?:的)?(?:错误|錯誤|报错|報錯|异常|異常|エラー|에러|오류)"),
        How.SAID,
    ),
    # glued to its reason: `504timeout`
    (
        re.compile(r"(?i)(?<![A-Za-z0-9_.:/-])(408|504|522|524)[ ]?(?:time-?out|超时|逾時|タイムアウト)"),
        How.SAID,
    ),
    (
        re.compile(
            rf"(?i)(?<!encoding)(?<!length)(?:(?:error|failed|failure|exception|errored|fehler|erreur|errore|erro|fallo"
            rf"|błąd|fout|hata|ошибк\w)\b|エラー|错误|錯誤|报错|報錯|失败|失敗|异常|異常|返回|오류|실패|lỗi)"
            rf"[^\n\d]{{0,24}}?(?<![\d.:/-]){_NUMBER}"
        ),
        How.SAID,
    ),
    # behind the name of an exception: `ResourceExhausted: 429 Quota exceeded`
    (re.compile(r"(?<![\w])[A-Z][a-z]{1,40}[A-Z]\w{1,40}: ([45]\d\d)(?= \w)"), How.SAID),
    (
        re.compile(r"(?<![\w.])(?<!EncodingError: )(?<!LengthError: )([45]\d\d), message="),
        How.SAID,
    ),  # as aiohttp shows an answer
    (
        re.compile(r"(?m)^[ ]?([45]\d\d) \{[\"']error[\"']: ?\{"),
        How.ANSWERED,
    ),  # openai 0.x: its code, its body
    (_BARE, How.SAID),
    # in front of a body within a string of a record: `"msg": "400 {\"error\": …`
    (re.compile(r"[\"']: ?[\"']([45]\d\d)[ \n]{1,2}(?=[{<])"), How.SAID),
    (re.compile(r"(?<![\w.\])])[\[(]([45]\d\d)(?=[\])])"), How.SAID),
    # behind a colon on a line that tells of a failure: `Problem generating the image: 400 This request …`
    (
        re.compile(
            r"(?i:\b(?:error|problem|failed|failure|exception|rejected)\b)[^\n]{0,80}: ([45]\d\d) (?=[A-Z{\"'])"
        ),
        How.SAID,
    ),
    (
        re.compile(
            rf"(?i)(?:\b(?:an?|the|with|by|of|shows?|sees?|gets?|gives?|throws?)[ ]{{1,2}}|(?:->|=>"
            rf"|→)[ ]{{0,2}})(?:http )?{_NUMBER}(?=[\s.,;:!?)'\"]|$)"
        ),
        How.WORDS,
    ),
)
_BY_REASON: Final = (
    (re.compile(r"(?i)\borigin time-?out\b"), 524),
    (re.compile(r"(?i)\bgateway[ _-]?time-?out\b"), 504),
    (re.compile(r"(?i)\bbad[ _]gateway\b"), 502),
    (re.compile(r"(?i:\bservice unavailable)\b|\bService Temporarily Unavailable\b"), 503),
    (re.compile(r"(?i)\btoo many requests\b"), 429),
    (re.compile(r"(?i)\bclient closed request\b"), 499),
    (re.compile(r"(?i)\binternal server error\b"), 500),
)


# What is in use: the registered ones, and those of nginx, of Cloudflare, of AWS's balancer and of a few proxies.
_IN_USE: Final = frozenset(
    {*range(400, 419), *range(421, 432), 440, 444, 449, 450, 451, 460, 463, 464, *range(494, 500)}
    | {*range(500, 512), *range(520, 531), 540, 550, 561, 598, 599}
)
_COLUMN: Final = re.compile(
    r"(?m)^[ \t>]{0,8}\d[0-9a-fA-Fx]{0,19}(?:[ \t,;]{1,4}(?:0x)?[0-9a-fA-F]{1,20}){0,60}[ \t,;]{0,4}"
    r"(?:(?:#|//|/\*)[^\n]{0,80})?$"
)
_ANY: Final = re.compile(r"[45]\d\d")
_FEW_BARE: Final = 2  # rows of bare numbers, above which they are a column of something else


def statuses_in(text: str) -> list[Status]:
    """Every status of 400 and above that a text speaks of, the strongest first, then in the order of the text."""
    found: dict[tuple[int, int], Status] = {}
    column = len(_COLUMN.findall(text)) > _FEW_BARE
    for pattern, how in _STATUSES if _ANY.search(text) else ():
        if column and pattern is _BARE:
            continue
        for match in few(pattern.finditer(text)):
            code, at = int(match[1]), match.start(1)
            if code in _IN_USE and ((at, code) not in found or found[at, code].how < how):
                found[at, code] = Status(code, how, at)
    if not found:
        by_reason = ((reason.search(text), code) for reason, code in _BY_REASON)
        first = next(((hit.start(), code) for hit, code in by_reason if hit), None)
        return [Status(first[1], How.WORDS, first[0])] if first else []
    return sorted(found.values(), key=lambda status: (-status.how, status.at))


def few(matches: Iterable[re.Match[str]]) -> Iterable[re.Match[str]]:
    """The first hits of a pattern, as many as are looked at."""
    return islice(matches, _MOST)
