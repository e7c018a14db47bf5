"""The durations of a text, in whatever form they are written, and what each is the duration of.

A number is a duration by what is around it; no other number counts. Every pattern is bounded on
each side, so that reading is linear in the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from whocut.tables import table
from whocut.verdict.triage.statuses import few

if TYPE_CHECKING:
    from collections.abc import Iterable


class Of(IntEnum):
    """What a duration is the duration of, as far as the text says, weakest first."""

    WAIT = -1  # a wait that is asked for, or that a back-off takes
    UNSAID = 0
    CONNECT = 1  # how long a connection was waited for
    LIMIT = 2  # a limit that was reached
    TOOK = 3  # how long something took
    FIRED = (
        4  # after how long a timer fired, in so many words: another's measure may be of more than the request
    )


@dataclass(frozen=True, slots=True)
class Duration:
    """A duration, and where it is."""

    seconds: float
    of: Of
    at: int
    sure: bool = True  # its unit is written


_UNITS_S: Final = {
    str(word): float(row["seconds"])
    for row in table(Path(__file__).parent / "words" / "units.yaml")
    for word in row["words"]
}
_UNIT: Final = "|".join(sorted(_UNITS_S, key=len, reverse=True))
_NEXT: Final = (
    r"[a-z=\u00b5\u03bc\u00df-\u00ff\u0153\u0430-\u044f\u0451]"  # it makes the unit a longer word, or a key
)
_GAP: Final = r"[`*_]{0,2}[ -]?[`*_]{0,2}"  # a number may be marked up, its unit not
_PART: Final = re.compile(rf"(\d[\d_,]{{0,14}}(?:\.\d{{1,9}})?){_GAP}({_UNIT})(?!{_NEXT})", re.IGNORECASE)
_WRITTEN: Final = re.compile(
    rf"(?<![A-Za-z0-9_.:/-])(?:(?P<parts>\d[\d_,]{{0,14}}(?:\.\d{{1,9}})?{_GAP}(?:{_UNIT})(?!{_NEXT})"
    rf"(?:[ ,]{{0,2}}\d{{1,6}}(?:\.\d{{1,9}})?[ ]?(?:{_UNIT})(?!{_NEXT})){{0,3}})"
    r"|(?P<iso>PT(?:\d{1,4}H)?(?:\d{1,4}M)?(?:\d{1,6}(?:\.\d{1,9})?S)?)(?![\w])"
    r"|(?P<clock>\d{1,2}:\d\d:\d\d(?:\.\d{1,9})?)(?![\d:])"
    r"|(?P<minutes>(?<!\d)\d{1,3}:[0-5]\d)(?![\d:.]))",
    re.IGNORECASE,
)
_ISO: Final = re.compile(r"PT(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?", re.IGNORECASE)
# A number with its unit in its name, or with none: `latency_ms=58888`, `"duration": 60.01`, `read timeout=240`.
_KEYED: Final = re.compile(
    r"(?<![\w.])[\"']?(?P<key>[A-Za-z][\w.-]{0,40}(?: (?:timeout|value|taken|time|limit"
    r"|passed))?)[\"']?[ \t]{0,2}[:=|][ \t]{0,2}[\"']?"
    r"(?P<number>\d{1,15}(?:\.\d{1,20})?)(?![\w.]|[ ]?(?:ms|s|sec|secs|seconds|m|min|minutes)\b|[:/-]\w)"
)
_KEY_TOOK: Final = re.compile(
    r"(?i)^(?!.*(?:timeout|connect|retry|delay|backoff|interval|upstream_connect|start|queue))"
    r".*(?:duration|elapsed(?:[ _]?time)?|latency|took|time[ _]?taken|request[_-]?time|response[_-]?time"
    r"|total[_-]?time|time_total|execution[_-]?time"
    r"|processing[_-]?time|use[_-]?time|timetaken|(?<![a-z])rt|(?-i:^T[at]))(?:[_-]?(?:ms|s|sec|secs|seconds|millis|ns|us|d))?$"
)
_EITHER: Final = re.compile(r"(?i)(?:duration|latency|rt)$")
_KEY_LIMIT: Final = re.compile(
    r"(?i)(?:timeout|deadline|max_?duration)(?:[ _-]?(?:value|passed|ms|s|sec|secs|seconds|millis))?$"
)
_KEY_CONNECT: Final = re.compile(r"(?i)connect")
_IN_KEY: Final = (
    (re.compile(r"(?i)(?:_ns|nanos|nanoseconds)$"), 1e-9),
    (re.compile(r"(?i)(?:_us|micros|microseconds)$"), 1e-6),
    (re.compile(r"^T[at]$"), 1e-3),  # HAProxy's own names of the whole
    (re.compile(r"(?:(?i:_ms|-ms|millis|milliseconds)|Ms|MS)$"), 1e-3),
    (re.compile(r"(?i)(?:_s|_sec|_secs|seconds|_seconds)$"), 1.0),
)
_SURELY_TOOK: Final = re.compile(
    r"(?i)(?:\b(?:took|taken|elapsed|duration|latency|lasted|ran for)|耗时|用时|耗时超出|已等待|等待了|已用时|経過)"
    r"[^\w\n]{0,4}$"
)
_WAIT_BEFORE: Final = re.compile(
    r"(?i)(?:(?:retry(?:ing)?|try again|sleep(?:ing)?|back(?:ing)?[ -]?off|next attempt"
    r"|cool ?down|delay|expires?|ttl"
    r"|keep-?alive|interval|poll(?:ing)?|every|refresh|(?<![a-z])available|resets?|reconnect\w*"
    r"|please wait)\b(?:[^\n.;]|\.(?=\S)){0,60}"
    r"|\bwait(?:ing)?(?: for)?(?: about)?[ =:~]{0,3}"
    r"|(?:повтор\w{1,8}|попробуйте|подождите|wiederholen|erneut|warten sie|réessay\w{1,6}|patientez|inténtel\w{1,4}"
    r"|espere|tente novamente|aguarde|riprova\w{0,4}|attendi|spróbuj\w{0,4}|tekrar|bekleyin|请等待|[请請][在於])"
    r"[^\n.;]{0,30})$"
)
_WAIT_AFTER: Final = re.compile(
    r"(?i)^[ ]?(?:before (?:retry|next|try)|until|requested\b|left\b|remaining|ago\b|\(?attempt|back-?off|between"
    r"|[后後](?:再|重)|[后後]に再|후(?:에)? 다시|sonra tekrar)"
)
_TOOK_BEFORE: Final = re.compile(
    r"(?i)(?:\b(?:took (?:longer|more) than|took|taken|elapsed|duration|latency|after|in|at|lasted"
    r"|hangs? for|hung for|waited|waits|ran for|running for"
    r"|nach|länger als|mehr als|über|après|plus de|pendant|después de|más de|tras|durante|depois de|após|mais de|há"
    r"|dopo|oltre|più di|per oltre|po|ponad|через|после|более|больше|sonra|sau|hơn|setelah|lebih dari|efter|na"
    r"|response time|total|real|exactly|around|about|roughly|reached)\b"
    r"|(?<!\d)[1-5]\d\d(?:[ \t]{1,4}[\d.]{1,9} ?(?:[KMG]i?)?B)?(?=[ \t|,(-]{1,16}$)|[=:(~≈])"
    r"[^\w\n]{0,16}(?:about |around |exactly |roughly |only |~|≈|almost |just |over"
    r" |genau |etwa |rund |ca\.? |environ |exactement |unos |cerca de |около |примерно |ровно |大?约|約)?$"
)
_TOOK_AFTER: Final = re.compile(
    r"(?i)^[ ]?(?:elapsed|passed|later|long\b|total\b|in total|into\b"
    r"|[(\uff08][^()\uff08\uff09\n]{1,12}[)\uff09]后|后|之后|後|で)"
)
_SET_TO: Final = re.compile(
    r"(?i)(?:\bset (?:to|at)|\bis configured (?:to|as|for|with)|设置|設定|配置)[^\n,\uff0c\u3002;\uff1b]{0,14}$"
)
_LIMIT_AROUND: Final = re.compile(
    r"(?i)time-?d?[ -]?out|timeout|deadline|exceed|limit\b|maximum|longer than|elapsing|within"
    r"|aborted after|allowed|超时|超过|超出|逾時|タイムアウト"
)
_LIMIT_BEFORE: Final = re.compile(
    r"(?i)(?:timeout(?: of)?|timed out(?: after)?|exceeded|超时[^\n]{0,4}|超过|超出)[ :=\uff1a]{0,3}$"
)
_CALLED: Final = re.compile(
    r"(?i)(?:after|than|timeout(?: value)?(?: of)?|took|elapsed|duration)['\": =(]{1,4}$"
)
_TIMEOUT_OF: Final = re.compile(r"(?i)time-?out(?: of| value| passed)?['\": =]{0,3}$")
_CONNECT_AROUND: Final = re.compile(
    r"(?i)connect(?:ion)?[ _-]?time-?out|failed to connect|connection timed out after|connect\w* took|resolving"
)


# How long a program took to start, to build or to load: no request's time.
_STARTED: Final = re.compile(
    r"(?i)\b(?:ready|started|booted|compiled|built|bundled|loaded|installed|initiali[sz]ed|migrated|warmed up)"
    r"[^\n]{0,24} in $|(?:cold start|init duration|boot time|load duration|startup)[:= ]{1,3}$"
)
_FIRED: Final = re.compile(r"(?i)(?:timed[ -]?out|timeout) after[ :=~]{0,3}(?:about |exactly )?$")
# A number that is a size or a share of a processor, whose letters are also those of a unit: `proxy-body-size: 20m`.
_SIZED: Final = re.compile(
    r"(?i)(?:size|memory|mem|cpu|buffers?|heap|storage|disk|length|quota|bytes|zone)[\"']?[ :=]{1,3}[\"']?$"
)
_SIZE: Final = re.compile(r"\d{1,6} ?[mM]")


_LAST_LOOK: Final = 1.1  # how much longer than the last measure the limit that fired may be


def durations_in(text: str) -> list[Duration]:
    """Every duration a text speaks of; those that say what they are the duration of first."""
    found = [*_written_out(text), *_keyed(text)]
    return sorted(found, key=lambda duration: (-duration.of, duration.at))


def _written_out(text: str) -> Iterable[Duration]:
    for match in few(_WRITTEN.finditer(text)):
        seconds = _seconds(match)
        if seconds is None or not seconds:
            continue
        before = text[max(0, match.start() - 60) : match.start()].rpartition("\n")[2]
        if _SIZE.fullmatch(match[0]) and _SIZED.search(before):
            continue
        after = text[match.end() : match.end() + 40].partition("\n")[0]
        of = _of(before, after, clock=match["clock"] is not None or match["minutes"] is not None)
        if of is not None:
            yield Duration(seconds, of, match.start())


def _of(before: str, after: str, *, clock: bool) -> Of | None:
    """What a duration is of, by its neighbours; None for an hour of the day."""
    if _SURELY_TOOK.search(before) or _SET_TO.search(before):
        return Of.TOOK if _SURELY_TOOK.search(before) else Of.UNSAID
    if _WAIT_AFTER.match(after) or (_WAIT_BEFORE.search(before) and not _LIMIT_BEFORE.search(before)):
        return None if clock else Of.WAIT
    limit = _LIMIT_AROUND.search(before[-44:]) or _LIMIT_AROUND.search(after)
    if clock:
        # An hour of the day looks alike: only what has just been called a duration is one.
        near = _CALLED.search(before)
        return None if near is None else Of.LIMIT if limit and "after" not in near[0].lower() else Of.TOOK
    if _STARTED.search(before):
        return Of.UNSAID
    if _CONNECT_AROUND.search(before[-40:]):
        return Of.CONNECT
    return _of_a_request(before, after, limit=bool(limit))


def _of_a_request(before: str, after: str, *, limit: bool) -> Of:
    """What a duration is of, that is neither an hour of the day nor a wait nor a connection's."""
    if _FIRED.search(before):
        return Of.FIRED
    bracketed = before.endswith("[") and after.startswith("]") and not limit
    if bracketed or _TOOK_BEFORE.search(before) or _TOOK_AFTER.match(after):
        return Of.LIMIT if _TIMEOUT_OF.search(before) else Of.TOOK
    return Of.LIMIT if limit else Of.UNSAID


def _keyed(text: str) -> Iterable[Duration]:
    for match in few(_KEYED.finditer(text)):
        key = match["key"]
        took, limit = _KEY_TOOK.search(key), _KEY_LIMIT.search(key)
        connect = limit and _KEY_CONNECT.search(key)
        if not (took or limit) or (_KEY_CONNECT.search(key) and not connect):
            continue
        number = float(match["number"])
        unit = next((factor for pattern, factor in _IN_KEY if pattern.search(key)), None)
        # No unit anywhere: whole thousands are milliseconds, as Node and Java count; else seconds.
        factor = unit or (1e-3 if "." not in match["number"] and number >= 1000 else 1.0)
        if took and unit is None and "." not in match["number"] and number < 1000 and _EITHER.search(key):
            continue  # Node's are milliseconds, others' seconds: it does not say
        if number:
            of = Of.CONNECT if connect else Of.TOOK if took else Of.LIMIT
            yield Duration(round(number * factor, 6), of, match.start(), sure=unit is not None)


def _seconds(match: re.Match[str]) -> float | None:
    try:
        if match["clock"]:
            hours, minutes, seconds = match["clock"].split(":")
            return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
        if match["minutes"]:
            minutes, seconds = match["minutes"].split(":")
            return int(minutes) * 60 + float(seconds)
        if match["iso"]:
            found = _ISO.fullmatch(match["iso"])
            hours, minutes, seconds = found.groups() if found else ("", "", "")
            return int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(seconds or 0)
        return round(
            sum(
                float(re.sub("[_,]", "", number)) * _UNITS_S[unit.lower()]
                for number, unit in _PART.findall(match["parts"])
            ),
            6,
        )
    except (ValueError, KeyError, OverflowError):
        return None


def elapsed_of(durations: Iterable[Duration], *, connecting: bool = False) -> float | None:
    """How long the request took: what was measured, else the limit that was reached; the longest of either.

    Of a request that got no connection, the wait for one comes first (`connecting`); of any other it says nothing.
    """
    durations = list(durations)
    measured = (Of.FIRED, Of.TOOK, Of.LIMIT)
    for of in (Of.CONNECT, *measured) if connecting else measured:
        longest = _longest(durations, of)
        if longest is None:
            continue
        limit = _longest(durations, Of.LIMIT) if of is Of.TOOK else None
        if limit is not None and longest < limit <= longest * _LAST_LOOK:
            longest = limit  # what a limit ended took as long as that, and was last looked at a little before
        return round(longest, 3)
    return None


def _longest(durations: Iterable[Duration], of: Of) -> float | None:
    known = [duration for duration in durations if duration.of is of]
    known = [duration for duration in known if duration.sure] or known
    return max((duration.seconds for duration in known), default=None)


_ASKED: Final = re.compile(
    r"(?i)(?:try again (?:in|after)|retry[- _]?after|retry in|retrydelay|available in"
    r"|please wait|повторите через|réessayez dans|erneut in|de nuevo en|novamente em|riprova tra)"
    r"[\"']?[:= ]{0,3}[\"']?"
    rf"((?:\d{{1,6}}(?:\.\d{{1,6}})?[ ]?(?:{_UNIT})?[ ]?){{1,3}})"
)


def wait_asked(text: str) -> float | None:
    """The wait that a text asks for before a retry, in seconds."""
    match = _ASKED.search(text)
    if match is None:
        return None
    parts = _PART.findall(match[1])
    if parts:
        total = sum(float(re.sub("[_,]", "", number)) * _UNITS_S[unit.lower()] for number, unit in parts)
        return round(total, 3)
    number = match[1].split()[0].rstrip(".")
    return float(number) if number.replace(".", "", 1).isdigit() else None
