"""From the facts of a text to the answer, by rank: what the text says outranks what it resembles.

The rules are in `RULES`, read from the top. A refusal by the API's own code is first; then what a layer
says in its log; then its page; then what a client raised, as long as no response had come; then a bare
status; and last the words that say little. How long it took names no layer by itself.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from whocut.chain.timers import Phase, TimerKind
from whocut.verdict.triage import advice
from whocut.verdict.triage.answer import Triage
from whocut.verdict.triage.by_apis import the_api_only_failed, the_api_only_refused, the_api_refused
from whocut.verdict.triage.by_clients import a_client_raised
from whocut.verdict.triage.by_layers import a_layer_says, a_page_says, a_status_says
from whocut.verdict.triage.by_logs import a_log_says
from whocut.verdict.triage.code import is_code, is_reference
from whocut.verdict.triage.coincidence import coincidences, with_chain
from whocut.verdict.triage.direction import the_callers_connection_ended
from whocut.verdict.triage.endings import NOTHING_SENT, By, Cause, EndedBy, Retry
from whocut.verdict.triage.facts import Facts, best_of
from whocut.verdict.triage.forms import a_message_says, a_status_and_words_say
from whocut.verdict.triage.in_prose import a_cut_is_told
from whocut.verdict.triage.refusals import error_of
from whocut.verdict.triage.statuses import How
from whocut.verdict.verdict import Grade

if TYPE_CHECKING:
    from collections.abc import Callable


def _little_is_said(facts: Facts) -> Triage | None:
    best = best_of(facts.said)
    if best is None:
        return None
    ending = best.row.ending
    cause = ending.cause
    timed = cause is Cause.TIMEOUT_CHAIN
    return with_chain(
        Triage(
            cause=cause,
            name=ending.says,
            product=None,
            phase=ending.phase if best.row.kind in NOTHING_SENT or best.row.kind == "mid" else None,
            grade=Grade.UNATTRIBUTED,
            status=facts.code,
            ended_by=(
                EndedBy.CLIENT
                if ending.by is By.CALLER or (timed and ending.by is By.SELF)
                else EndedBy.UNKNOWN
            ),
            retry=ending.retry if not timed or ending.by is By.SELF else Retry.UNKNOWN,
            do=advice.ENDINGS.get(best.row.kind, advice.ENDINGS["opaque"]),
            why=(f"{best.words}: {ending.says}",),
            alternatives=coincidences(facts),
        ),
        facts,
    )


# A timeout as an event, in whatever letters; not one that is set to a number, or that may come.
_TIMEOUT: Final = re.compile(
    r"(?i)(?<![\w.-])(?<!may )(?<!can )(?<!might )(?<!could )(?<!would )"
    r"(?:time[ds]?[ _-]?out|(?!(?:may|can|might|could|would) )\w{1,40}[ _-]time[ds]?[ _-]?out"
    r"|(?-i:[A-Z]\w{1,40}Time[d]?[oO]ut))"
    r"(?![\w-])"
    r"(?![\"'\])]{0,2}[ \t]{0,2}(?:to|[:=(])?[ \t]{0,2}[\"']?\d)|超时|逾時|タイムアウト|시간 ?초과"
)
_FAILED: Final = re.compile(
    r"(?i)\b(?:error|fail(?:ed|ure|s)?|exceed(?:ed|s)?|reached|abort(?:ed)?|cancell?ed|killed|terminated|expired"
    r"|exception|rejected|could not|couldn't|unable to|occurred)\b"
    r"|try again|please retry|失败|错误|已等待|失敗|エラー|실패|오류|[✕✗❌×]|!\s*$"
    r"|请稍[后候]|請稍後|稍后[再重]|稍後再|重试|重試|再試行|もう一度|しばらく|다시 시도|ошибк|попробуйте"
    r"|\b(?:fehler|erreur|réessay\w{1,8}|inténtelo|intente|erro|tente novamente|riprova|hata|tekrar dene\w{0,8})\b"
)
_FEW_LINES: Final = 4  # of a message; a longer text tells of more than one thing
_FEW_LETTERS: Final = 600


def _a_timeout_is_told(facts: Facts) -> Triage | None:
    """A message of a few lines that tells of a timeout and of a failure in one of them, in words of its own."""
    lines = [line for line in facts.pasted.levels[0].split("\n", 2 * _FEW_LINES) if line.strip()]
    if len(lines) > _FEW_LINES or len(facts.pasted.levels[0]) > _FEW_LETTERS:
        return None
    told = next((hit for line in lines if (hit := _TIMEOUT.search(line)) and _FAILED.search(line)), None)
    if told is None:
        return None
    return with_chain(
        Triage(
            cause=Cause.TIMEOUT_CHAIN,
            name="a timer fired; whose it was is not said",
            status=facts.code,
            retry=Retry.PAYS_AGAIN,
            do=advice.ENDINGS["some_timer"],
            why=(f"{told[0]}: a timeout beside words of a failure",),
            alternatives=coincidences(facts),
        ),
        facts,
    )


def _a_chain_has_the_limit(facts: Facts) -> Triage | None:
    """Only a chain that was given turns a duration into a layer."""
    if not facts.chain or facts.elapsed_s(by_limit=True) is None:
        return None
    found = with_chain(
        Triage(
            cause=Cause.TIMEOUT_CHAIN,
            name="the time it took is a limit of the chain that was given",
            retry=Retry.PAYS_AGAIN,
        ),
        facts,
    )
    return found if found.layer else None


def _nothing_is_known(facts: Facts) -> Triage | None:
    return Triage(
        cause=Cause.UNKNOWN,
        name="not recognised",
        status=facts.code if facts.status and facts.status.how > How.WORDS else None,
        do="Paste what decides it: the response's status, headers and body (`curl -sv`), or the "
        "whole traceback with its "
        "causes, or the gateway's log line of that instant; say how long it took (--after). If it stays unknown, "
        "`whocut triage --redacted` prints the text without keys, hosts and addresses, fit for an issue.",
        do_not="Do not retry before it is known whether the first request did its work.",
        alternatives=coincidences(facts),
    )


def _it_is_code_or_a_manual(facts: Facts) -> Triage | None:
    """A piece of a program or of its documentation, which tells of no request, whatever errors it names."""
    if facts.exchange is not None or error_of(facts.pasted).get("message"):
        return None
    form = next(
        (
            form
            for form, has in (("source code", is_code), ("documentation", is_reference))
            if has(facts.pasted)
        ),
        None,
    )
    if form is None:
        return None
    return Triage(
        cause=Cause.UNKNOWN,
        name=f"not recognised: it reads as {form}",
        do="Paste what the program printed when the request failed: its traceback with its causes, the response, "
        "or the gateway's log line of that instant.",
        do_not="Do not retry before it is known whether the first request did its work.",
    )


RULES: Final[tuple[Callable[[Facts], Triage | None], ...]] = (
    a_log_says,
    _it_is_code_or_a_manual,
    the_api_refused,
    a_layer_says,
    a_page_says,
    the_callers_connection_ended,
    a_client_raised,
    a_cut_is_told,
    a_status_and_words_say,
    a_status_says,
    the_api_only_refused,
    _little_is_said,
    _a_timeout_is_told,
    a_message_says,
    the_api_only_failed,
    _a_chain_has_the_limit,
    _nothing_is_known,
)


def decide(facts: Facts) -> Triage:
    """The first rule that applies."""
    for rule in RULES:
        found = rule(facts)
        if found is not None:
            return _completed(found, facts)
    raise AssertionError("the last rule applies always")


# As Chrome's console shows a response whose body did not come whole: `net::ERR_HTTP2_PROTOCOL_ERROR 200 (OK)`.
_HEAD_CAME: Final = re.compile(r"\bnet::ERR_\w{1,60} (2\d\d) \(")


def _completed(found: Triage, facts: Facts) -> Triage:
    its_connect = found.timer is TimerKind.CONNECT and found.ended_by is EndedBy.CLIENT
    by_limit = found.cause is Cause.TIMEOUT_CHAIN or its_connect
    connecting = found.phase is Phase.CONNECT
    # The AWS SDK for JavaScript says so of an answer that did not come.
    of_an_answer = (
        found.cause is Cause.TIMEOUT_CHAIN and not connecting and "connection timed out after" in facts.lower
    )
    head = _HEAD_CAME.search(facts.pasted.text) if found.phase is Phase.STREAM else None
    return replace(
        found,
        status=int(head[1]) if head and found.status is None else found.status,
        elapsed_s=facts.elapsed_s(by_limit=by_limit, connecting=connecting or of_an_answer),
        do_not=found.do_not or advice.DO_NOT[found.retry],
        read_as=facts.read_as,
    )
