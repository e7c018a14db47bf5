"""More than one machine: where the master listens when told so in so many words, and with which token.

Everything else of a run stays on the loopback. Two ports are open on the address: Locust's master (`port`), sealed
with the token, and the chain's door (`--port`), which wants a proof of it.
"""

from __future__ import annotations

import ipaddress
import os
import re
import shlex
import socket
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

from whocut.errors import BadInput
from whocut.path.address import address_of, parse_listen
from whocut.path.door import refusal_of
from whocut.redact import protect
from whocut.token import VARIABLE, new_token, told_token
from whocut.trace.records import new_span_id

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from whocut.trace.rundir import RunDir

_IN_BUCKETS: Final = frozenset({"tier", "images_per_min", "tokens_per_min", "ramp"})
_PASSWORD: Final = re.compile(r"//[^@/]*:(?!\$)[^@/]+@")


@dataclass(frozen=True, slots=True)
class Listening:
    """The address that workers on other machines dial, how many are waited for, and the token."""

    host: str
    port: int
    workers: int
    token: str = field(repr=False)
    made: bool = False  # the token is new, and its user has to be told
    local_chain: bool = False

    @classmethod
    def told(
        cls,
        written: str,
        workers: int,
        token_file: Path | None,
        *,
        local_chain: bool = False,
        beside: bool = False,
    ) -> Self:
        """From the command line and the environment; a token is made where none is given.

        `beside`: a Locust that is not ours listens there already, with the token of its own environment.

        Raises:
            BadInput: the address or the token is invalid.
            PortTaken: another program listens there.
        """
        host, port = parse_listen(written)
        if not beside:
            _refuse_taken(host, port)
        given = told_token(os.environ, token_file)
        token = given or new_token()
        return cls(host, port, workers, token, made=given is None, local_chain=local_chain)

    def tell(self) -> None:
        """Say how a worker is started; a token that was made is said here, once, and nowhere else."""
        anywhere = ipaddress.ip_address(self.host).is_unspecified
        at = address_of("ADDRESS-OF-THIS-MACHINE" if anywhere else self.host, self.port)
        before = f"{VARIABLE}={shlex.quote(self.token)} " if self.made else ""
        sys.stderr.write(
            f"whocut: start {self.workers} on other machines: {before}whocut worker --master {at}\n"
        )
        sys.stderr.flush()
        protect(self.token)


def refuse_together(*, processes: int, to: str | None) -> None:
    """Refuse what does not go with workers on other machines.

    Raises:
        BadInput: there are load processes of the run's own, or a real endpoint whose account is on one machine.
    """
    if processes > 1:
        raise BadInput(
            "--processes: with --listen all load is made by workers. Start as many here with: whocut worker "
            "--processes N"
        )
    if to is not None:
        raise BadInput(
            "--to: an account is shared by the processes of one machine, and --listen takes workers from others. "
            "Leave one of the two out."
        )


def one_quota(upstream: Mapping[str, Any], redis: str | None, *, local_chain: bool) -> dict[str, Any]:
    """The mock's settings, with its quota where all workers' mocks find it.

    Raises:
        BadInput: each mock would let in a whole quota of its own, or the Redis belongs to nothing.
    """
    quota = dict(upstream.get("quota") or {})
    if redis is not None:
        if not local_chain:
            raise BadInput(
                "it is for the mocks of workers' own chains. Add --local-chain, or leave it out.",
                field="quota-in",
            )
        if _PASSWORD.search(redis):
            raise BadInput(
                "a password would be in the manifest. Write $NAME for it, and set NAME on each machine.",
                field="quota-in",
            )
        shared = {"redis": redis, "redis_prefix": f"whocut:{new_span_id()}:", "redis_time": "run"}
        return {**upstream, "quota": {**quota, **shared}}
    if local_chain and not quota.get("redis"):
        counted = sorted(name for name, limit in quota.items() if limit is not None and name in _IN_BUCKETS)
        if counted:
            raise BadInput(
                f"each worker's mock would have a quota of its own (quota.{counted[0]}). Name a Redis that all of "
                "them reach: --quota-in redis://ADDRESS:6379/0",
                field="local-chain",
            )
    return dict(upstream)


def refuse_counted_by_one(upstream: Mapping[str, Any], upstream_in: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse a quota on what is under way: each mock counts its own.

    Raises:
        BadInput: there is one.
    """
    for settings in (upstream, *upstream_in.values()):
        for name in ("concurrency", "overloaded_at"):
            if (settings.get("quota") or {}).get(name) is not None:
                raise BadInput(
                    f"quota.{name} counts what is under way in one mock. Run this scenario without --local-chain.",
                    field="local-chain",
                )


def name_workers(run_dir: RunDir) -> None:
    """Write into the manifest which workers took part, and of a lost one when it was last heard of."""
    said = (run_dir.generator() or {}).get("workers", ())
    run_dir.manifest["workers"] = [{"worker": one["worker"], "lost": one["lost"]} for one in said]
    run_dir.write_manifest()


def _refuse_taken(host: str, port: int) -> None:
    """Before anything is started: whether the master can listen there.

    Raises:
        BadInput: it is no address of this machine.
        PortTaken: another program listens there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as trying:
        trying.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trying.bind((host, port))
        except OSError as error:
            raise refusal_of(error, host, port) from None
