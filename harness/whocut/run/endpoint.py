"""A real endpoint: what a user must say before anything is sent to it, and what it can cost, in words."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from whocut.chain.load import Spending
from whocut.chain.money import dollars, nano_usd
from whocut.chain.want import LEDGER_ONLY, parse_wants
from whocut.client.spending import Guard, Limits, SpendAccount, account_path
from whocut.client.spending.account import fingerprint
from whocut.client.spending.bound import price_of_images
from whocut.client.spending.breaker import OFF, Breaker, parse_breaker
from whocut.clock import Clock, ClockSpec, parse_clock
from whocut.errors import BadInput
from whocut.path.target import Target, is_private
from whocut.run.plan import no_more

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from whocut.chain.layers import Topology
    from whocut.chain.want import Want
    from whocut.client.spending.bound import Price
    from whocut.run.plan import Plan
    from whocut.run.scenario import Scenario

_KEY = "OPENAI_API_KEY"
_NO_KEY = re.compile(r"[^\x21-\x7e]")  # what a header cannot carry, or would carry wrongly
_A_PROMPT = "x" * 200  # longer than the shipped scenarios' own


@dataclass(frozen=True, slots=True)
class Consent:
    """The flags of a real endpoint, as they were written."""

    to: str | None
    budget_usd: float | None
    max_requests: int | None
    account: Path | None
    new_account: bool
    ca: Path | None
    free: bool = False
    breaker: str | None = None

    @property
    def lonely(self) -> str | None:
        """A flag that means nothing without ``--to``."""
        if self.to is not None:
            return None
        about_it = {"--ca": self.ca, "--free": self.free or None, "--breaker": self.breaker}
        return _first_of({**self.of_account, **about_it})

    @property
    def of_account(self) -> dict[str, object]:
        """What was written of the account and its limits; None where nothing was."""
        return {
            "--budget-usd": self.budget_usd,
            "--max-requests": self.max_requests,
            "--account": self.account,
            "--new-account": self.new_account or None,
        }


def _first_of(written: Mapping[str, object]) -> str | None:
    return next((flag for flag, value in written.items() if value is not None), None)


def agree(
    plan: Plan,
    consent: Consent,
    *,
    own_chain: bool,
    clock: str | None,
    told: Scenario,
    want: Sequence[str],
) -> Plan:
    """The plan as it goes to a real endpoint; opens the user's account, or begins it where they say so.

    Raises:
        BadInput: no budget, no key, no account, a new one where there is one; or a flag that cannot be true there.
        BadFile: the account cannot be read.
    """
    assert consent.to is not None
    target = Target.parse(consent.to, trust=consent.ca, plain=consent.free)
    if consent.free:
        _refuse_what_may_bill(target, consent)
    elif consent.budget_usd is None:
        hint = ", or --free where nothing behind it bills" if is_private(target.host) else ""
        raise BadInput(
            f"--to {target.url} spends money: say with --budget-usd how much its account may come to, all runs "
            f"together{hint}"
        )
    breaker = parse_breaker(consent.breaker)
    topology = plan.topology if own_chain else replace(plan.topology, name=target.host, hops=())
    topology = replace(topology, whole=False)
    changed = replace(
        plan,
        topology=topology,
        clock=_clock(target, clock),
        upstream={},
        upstream_in={},
        wants=(*_measurable(told.want, asked=False), *_measurable(want, asked=True)),
        to=target,
    )
    if consent.free:
        return changed
    assert consent.budget_usd is not None
    budget = nano_usd(consent.budget_usd)
    tries = tries_behind(topology)
    least = price_of(changed).nano_usd * tries
    if consent.new_account and least > budget:  # an account that is there has its own say
        raise BadInput(
            f"--budget-usd {consent.budget_usd:g}: not even one attempt fits, for it may cost {dollars(least)}; "
            "write a higher amount, or ask for smaller images of a lower quality"
        )
    account = _open(consent)
    spending = Spending(
        account=str(account),
        budget_nano_usd=budget,
        max_attempts=consent.max_requests,
        tries_behind=tries,
        breaker=None if breaker == Breaker() else consent.breaker,
    )
    return replace(changed, spending=spending)


def _refuse_what_may_bill(target: Target, consent: Consent) -> None:
    """Hold `--free` to what it says: it is near, no key goes there, and nothing is counted.

    Raises:
        BadInput: the address is not near, or a flag is about money.
    """
    if not is_private(target.host):
        raise BadInput(
            f"--free: {target.host} is not an address of this machine or of a private network. Say with "
            "--budget-usd how much may be spent there."
        )
    if about_money := _first_of(consent.of_account):
        raise BadInput(
            f"--free: nothing is counted then, and {about_money} has no account. Leave one of them out."
        )
    if consent.breaker not in {None, OFF}:
        raise BadInput(
            f"--free: no guard counts failures then, and --breaker {consent.breaker} is of no use. Leave it out."
        )


def _open(consent: Consent) -> Path:
    key = os.environ.get(_KEY)
    if not key:
        raise BadInput(f"--to needs a key: put it into the environment as {_KEY}; it is never written down")
    if strange := _NO_KEY.search(key):
        raise BadInput(
            f"{_KEY} has an invalid character at position {strange.start() + 1}: a space, a line's end, or one "
            "outside ASCII. Set it again, as it was issued."
        )
    path = (consent.account or account_path(key)).expanduser().absolute()
    there = path.exists()
    if consent.new_account and there:
        raise BadInput(
            f"there is an account {path} already; leave the flag away to go on from what it holds, "
            "or name another file with --account",
            field="new_account",
        )
    if not consent.new_account and not there:
        raise BadInput(
            f"there is no account {path}, so what this key has spent before is not known; add --new-account to "
            "begin one, or name the right one with --account"
        )
    if consent.new_account:
        SpendAccount.create(path, {"key": fingerprint(key), "opened_unix_s": round(Clock().epoch_unix_s)})
    elif consent.account is not None:  # the other's name is its key's
        _same_key(path, key)
    return path


def _same_key(path: Path, key: str) -> None:
    account = SpendAccount(path)
    opened_by = account.opened_by
    account.close()
    if opened_by is not None and opened_by != fingerprint(key):
        raise BadInput(
            f"--account {path} was opened for another key than the one in {_KEY}, and what one key spends is not "
            "the other's; name that key's own account, or begin one with --new-account"
        )


def _clock(target: Target, written: str | None) -> ClockSpec:
    """Real, unless the user says otherwise of an upstream on this machine: it may be a scaled mock."""
    if written is None:
        return ClockSpec()
    spec = parse_clock(written)
    if spec.scale != 1 and not target.loopback:
        raise BadInput(
            f"--clock {written}: {target.host} takes its own time; only --clock real can be true there"
        )
    return spec


def _measurable(written: Sequence[str], *, asked: bool) -> Iterator[Want]:
    """Thresholds that can be held without a ledger; one that was asked for by hand and cannot is bad input."""
    for want in parse_wants(written):
        if want.name not in LEDGER_ONLY:
            yield want
        elif asked:
            raise BadInput(
                f"{want.name} is for an upstream's ledger to say, and --to has no ledger", field="want"
            )


def tries_behind(topology: Topology) -> int:
    """How often our hops may send one attempt on: each of them on its own, so they multiply."""
    return prod(hop.retries.tries for hop in topology.hops if hop.retries.post)


def price_of(plan: Plan) -> Price:
    """The most that one attempt of a plan costs, as its chain asks."""
    asked = plan.topology.upstream
    return price_of_images(
        {
            "model": asked.model,
            "size": asked.size,
            "quality": asked.quality,
            "prompt": _A_PROMPT,
            "partial_images": plan.partial_images,
        }
    )


def estimate(plan: Plan, told: Scenario) -> Iterator[str]:
    """What a run can cost, in lines for people; printed before the first request.

    Raises:
        Withheld: not even one attempt may go out.
    """
    assert plan.to is not None
    if plan.spending is None:
        yield f"this goes to {plan.to.url}, which bills nothing, as --free says: no key is sent, nothing is counted"
        yield from _of_the_mock(told)
        return
    spending, asked, tries = plan.spending, plan.topology.upstream, plan.topology.client.retries.tries
    price = price_of(plan)
    each = price.nano_usd * spending.tries_behind
    account = SpendAccount(Path(spending.account))
    guard = Guard(
        account,
        Limits(budget_nano_usd=spending.budget_nano_usd, max_attempts=spending.max_attempts),
        parse_breaker(spending.breaker),
    )
    guard.look(price)
    yield f"this goes to {plan.to.url} and costs money:"
    for stage in plan.stages:
        yield (
            f"  {stage.name}: {stage.requests} requests, each at most {dollars(each)} as the chain asks "
            f"({asked.model}, {asked.size}, {asked.quality}); {dollars(each * stage.requests)}, or "
            f"{dollars(each * stage.requests * tries)} if the client sends each {tries} times"
        )
    total = each * plan.asked
    more = (
        "; what it asks again at the end comes on top, within the budget" if plan.then is not no_more else ""
    )
    yield f"  in all at most {dollars(total)}, or {dollars(total * tries)} with every retry{more}"
    with account.locked() as tally:
        yield (
            f"account {account.path}: {tally.attempts} attempts, {dollars(tally.settled_nano_usd)} spent, "
            f"{dollars(tally.reserved_nano_usd)} held for attempts whose end is unknown"
        )
    account.close()
    most = f", at {spending.max_attempts} attempts" if spending.max_attempts else ""
    failing = ", however many attempts fail" if guard.breaker.off else f", and when {guard.breaker.says}"
    yield f"the guard stops at {dollars(spending.budget_nano_usd)}{most} in that account{failing}"
    yield from _of_the_mock(told)


def _of_the_mock(told: Scenario) -> Iterator[str]:
    if told.upstream or told.upstream_in:
        yield (
            "warning: this scenario sets up the mock it usually runs against (its upstream, upstream_in and keys); "
            "none of that applies here"
        )
