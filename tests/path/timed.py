"""Cut times: the emulated layer and the real product, each from limits and from a user's file, timer by timer.

A time is taken from before the caller dials to the cut, so that a busy machine only adds to it. The least of
several tries is what the layer's clock does.
"""

from __future__ import annotations

import asyncio
import re
import socket
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from tests.path.fakes import (
    BODY,
    CHUNKED_HEAD,
    FIN,
    Caller,
    FakeUpstream,
    Part,
    Seen,
    call,
    image,
    image_request,
    send,
    wait,
    whole,
)
from whocut.chain.catalogue import overridden, preset
from whocut.chain.layers import Buffering, LayerRetries
from whocut.chain.products import product
from whocut.chain.timers import TimerKind
from whocut.clock import Clock
from whocut.config.sources import read_chain
from whocut.path import Hop
from whocut.path.gateways import start_gateway

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
    from pathlib import Path

    from whocut.chain.layers import Layer

OFF: Final = 0.03
LIMITS_S: Final = {
    TimerKind.CONNECT: 100.0,
    TimerKind.FIRST_BYTE: 100.0,
    TimerKind.IDLE: 150.0,  # of some it runs in the wait as well, and would end that too
    TimerKind.TOTAL: 300.0,
    TimerKind.KEEPALIVE: 200.0,
}
PATIENCE_S: Final = 60.0
SILENCE: Final = wait(PATIENCE_S)
# LiteLLM needs some hundredths of a second of a request's own time, and counts no less than its limit.
_SCALES: Final = {"litellm": 25.0}
_SETTLES_S: Final = 0.05
MID_BODY: Final = frozenset({TimerKind.IDLE, TimerKind.TOTAL})
# To an end in mid-body the one says nothing, and the other has sent nothing yet: it answers whole.
HOLDS_ON: Final = frozenset({"http-proxy-middleware", "litellm"})
_TOLD_S: Final = 20.0

PARTS: Final[dict[TimerKind, tuple[Part, ...]]] = {
    TimerKind.CONNECT: (FIN,),  # never played: nothing gets through
    TimerKind.FIRST_BYTE: (BODY, SILENCE, FIN),
    TimerKind.IDLE: (BODY, send(CHUNKED_HEAD + b"1\r\n{\r\n"), SILENCE, FIN),
    TimerKind.TOTAL: (BODY, send(CHUNKED_HEAD), *((wait(0.2), send(b"1\r\n \r\n")) * 300), FIN),
    TimerKind.KEEPALIVE: (BODY, send(image())),
}

# Files as users have them; in angle brackets the limits. The first one is what the chain names.
OWN: Final[dict[str, dict[str, str]]] = {
    "apache": {
        "site.conf": """<VirtualHost *:80>
    ServerName img.example.com
    ProxyTimeout <idle>
    ProxyPass / http://img.internal:8000/
</VirtualHost>
"""
    },
    "caddy": {
        "Caddyfile": """{
    servers {
        timeouts {
            idle <keepalive>s
        }
    }
}
img.example.com {
    reverse_proxy img.internal:8000 {
        transport http {
            dial_timeout <connect>s
            response_header_timeout <first_byte>s
            read_timeout <idle>s
            keepalive off
        }
    }
}
"""
    },
    "envoy": {
        "envoy.yaml": """static_resources:
  listeners:
  - name: all
    address: { socket_address: { address: 0.0.0.0, port_value: 80 } }
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": TYPES.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: all
          stream_idle_timeout: <idle>s
          common_http_protocol_options: { idle_timeout: <keepalive>s }
          route_config:
            virtual_hosts:
            - name: img
              domains: ["*"]
              routes:
              - match: { prefix: / }
                route:
                  cluster: images
                  timeout: <total>s
                  retry_policy: { num_retries: 0, per_try_timeout: <first_byte>s }
          http_filters:
          - name: envoy.filters.http.router
            typed_config: { "@type": TYPES.filters.http.router.v3.Router }
  clusters:
  - name: images
    type: STRICT_DNS
    connect_timeout: <connect>s
    load_assignment:
      cluster_name: images
      endpoints:
      - lb_endpoints:
        - endpoint: { address: { socket_address: { address: img.internal, port_value: 8000 } } }
""".replace("TYPES", "type.googleapis.com/envoy.extensions")
    },
    "haproxy": {
        "haproxy.cfg": """defaults
    mode http
    timeout client 900s
    timeout connect <connect>s
    timeout server <idle>s
    timeout http-keep-alive <keepalive>s
    retries 0
frontend all
    bind :80
    default_backend images
backend images
    server one img.internal:8000
"""
    },
    "litellm": {
        "config.yaml": """model_list:
  - model_name: gpt-image-2
    litellm_params:
      model: openai/gpt-image-2
      api_base: https://img.internal:8000/v1
      api_key: os.environ/IMG_KEY
      timeout: <first_byte>
router_settings:
  num_retries: 0
"""
    },
    "nginx": {
        "nginx.conf": """events {}
http {
    keepalive_timeout <keepalive>s;
    server {
        listen 80;
        server_name img.example.com;
        location / {
            proxy_pass http://img.internal:8000;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_connect_timeout <connect>s;
            proxy_read_timeout <idle>s;
        }
    }
}
"""
    },
    "traefik": {
        "traefik.yml": """entryPoints:
  web:
    address: ":80"
    transport: { respondingTimeouts: { writeTimeout: <total>s, idleTimeout: <keepalive>s } }
providers:
  file: { filename: /etc/traefik/dynamic.yml }
""",
        "dynamic.yml": """http:
  routers:
    img: { rule: Host(`img.example.com`), entryPoints: [web], service: img }
  services:
    img: { loadBalancer: { serversTransport: slow, servers: [{ url: "http://img.internal:8000" }] } }
  serversTransports:
    slow: { forwardingTimeouts: { dialTimeout: <connect>s, responseHeaderTimeout: <first_byte>s } }
""",
    },
    "varnish": {
        "default.vcl": """vcl 4.1;
backend default {
    .host = "img.internal";
    .port = "8000";
    .connect_timeout = <connect>s;
    .first_byte_timeout = <first_byte>s;
    .between_bytes_timeout = <idle>s;
}
sub vcl_recv { return (pass); }
"""
    },
}


def scale_of(name: str) -> float:
    """The clock on which a product's cut times are taken: its unit has to bear the limits there."""
    return _SCALES.get(name, 100.0)


def limits_of(name: str) -> dict[TimerKind, float]:
    """The limit of each timer that the product has; where two share a knob, theirs is the same."""
    knobs = product(name).knobs
    return {kind: LIMITS_S[next(one for one in knobs if knobs[one] == knob)] for kind, knob in knobs.items()}


def written_in(name: str) -> dict[TimerKind, float]:
    """The limits that are written in the user's files of a product, a knob of several timers for each of them."""
    text = "".join(OWN.get(name, {}).values())
    knobs = product(name).knobs
    there = {knob for kind, knob in knobs.items() if f"<{kind}>" in text}
    return {kind: limit_s for kind, limit_s in limits_of(name).items() if knobs[kind] in there}


def limited(name: str) -> Layer:
    """The preset with these limits, and one try."""
    limits: dict[TimerKind, float | None] = dict(limits_of(name))
    return replace(overridden(preset(name), limits, "this test"), retries=LayerRetries())


@dataclass(frozen=True, slots=True)
class Ended:
    """One try: when it was cut, counted from before the caller dialled, in seconds of the run's clock; and how.

    The ends are those of the caller's side and of the upstream's; nothing where it stayed open.
    """

    took_s: float
    status: int
    body: bytes
    caller_saw: str
    upstream_saw: str


@dataclass(slots=True)
class Party:
    """A layer that stands somewhere, and the upstream that it alone has."""

    what: str
    port: int
    clock: Clock
    upstream: FakeUpstream | None
    tells: bool
    holds: bool  # the whole response, so that it answers to an end in mid-body too
    tries: list[Ended] = field(default_factory=list)

    @property
    def best(self) -> Ended:
        """The try that the machine delayed least."""
        return min(self.tries, key=lambda one: one.took_s)

    async def cut(self, kind: TimerKind) -> Ended:
        """One request, until a timer of this kind has ended it."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        caller = await call(self.port, image_request())
        before = len(self.upstream.connections) if self.upstream else 0
        ended_s = None
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                ended_s = await self._end(kind, caller, before)
        if kind in MID_BODY and self.tells:
            await _within(_TOLD_S, caller.until(lambda one: bool(one.ended)))
        if kind is TimerKind.IDLE and self.holds:
            await _within(PATIENCE_S, caller.until(lambda one: whole(one.got) > 0))  # after its last try
        await asyncio.sleep(_SETTLES_S)
        took_s = self.clock.model_s((loop.time() if ended_s is None else ended_s) - began_s)
        head, _, body = caller.got.partition(b"\r\n\r\n")
        if b"transfer-encoding: chunked" in head.lower():
            body = re.sub(rb"(?:^|\r\n)0*[0-9a-f]+\r\n", b"|", body)
        seen = next((one.ended for one in self._new(before)), "")
        ended = Ended(took_s, int(head[9:12] or b"0"), body, caller.ended, seen)
        self.tries.append(ended)
        caller.transport.abort()
        return ended

    async def _end(self, kind: TimerKind, caller: Caller, before: int) -> float:
        if kind in {TimerKind.CONNECT, TimerKind.FIRST_BYTE}:
            await caller.until(lambda one: whole(one.got) > 0)
            # What tries again by itself lets go of the upstream at its limit, and tells its caller later.
            ends = [one.ended_s for one in self._new(before) if one.ended_s is not None]
            return min([*ends, *caller.got_at_s])
        while not (ends := list(self._ends(kind, caller, before))):  # noqa: ASYNC110  # a peer's socket tells no event
            await asyncio.sleep(0.002)
        return min(ends)

    def _ends(self, kind: TimerKind, caller: Caller, before: int) -> Iterator[float]:
        """The instants at which a side ended; of an idle connection it is the caller's that the timer watches."""
        if caller.ended_s is not None:
            yield caller.ended_s
        for one in self._new(before):
            if one.ended_s is not None and kind is not TimerKind.KEEPALIVE:
                yield one.ended_s

    def _new(self, before: int) -> Sequence[Seen]:
        """The connections of this try; none of them is used again after a cut."""
        return self.upstream.connections[before:] if self.upstream else ()


async def _within(limit_s: float, happens: Coroutine[Any, Any, None]) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            await happens


@contextmanager
def deaf() -> Iterator[tuple[str, int]]:
    """An address that takes no connection and refuses none: its queue is full."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):
            filling = stack.enter_context(socket.socket())
            filling.settimeout(0)
            filling.connect_ex(server.getsockname())
        yield server.getsockname()


@asynccontextmanager
async def standing(
    name: str, own: Path | None, kind: TimerKind, retries: LayerRetries | None = None
) -> AsyncIterator[list[Party]]:
    """The hop and the product, each from the preset's limits and from the file; each before its own upstream.

    Without `retries` they have one try.
    """
    clock = Clock(scale_of(name))
    of, read = limited(name), read_from(own) if own else None
    of = of if retries is None else replace(of, retries=retries)
    holds = of.buffering is Buffering.ALL
    async with AsyncExitStack() as stack:

        async def upstream() -> tuple[FakeUpstream | None, tuple[str, int]]:
            if kind is TimerKind.CONNECT:
                return None, stack.enter_context(deaf())
            fake = await stack.enter_async_context(FakeUpstream(PARTS[kind]))
            return fake, fake.address

        async def emulated(what: str, layer: Layer) -> Party:
            fake, address = await upstream()
            hop = Hop(replace(layer, gateway="", config=""), upstream=address, clock=clock)
            await hop.listen()
            stack.push_async_callback(hop.close)
            return Party(what, hop.port, clock, fake, name not in HOLDS_ON, holds)

        async def in_person(what: str, layer: Layer) -> Party:
            fake, address = await upstream()
            gateway = await start_gateway(name, layer, upstream=address, clock=clock)
            await stack.enter_async_context(gateway)
            return Party(what, gateway.port, clock, fake, name not in HOLDS_ON, holds)

        parties = [await emulated("the preset", of), await in_person("the product from limits", of)]
        if read is not None:
            parties.append(await emulated("the file as it was read", read))
            parties.append(await in_person("the product from the file", read))
        yield parties


def read_from(own: Path) -> Layer:
    """The layer of a chain file that starts the product from a user's own file."""
    (layer,) = read_chain(str(own)).hops
    return layer


def chain_of(name: str, folder: Path) -> Path:
    """A user's own files with these limits, and the chain file that names them."""
    of = limits_of(name)
    for file, text in OWN[name].items():
        (folder / file).write_text(_filled(text, of))
    chain = folder / "chain.yaml"
    chain.write_text(
        f"layers:\n  - gateway: {name}\n    config: ./{next(iter(OWN[name]))}\n"
        "host: img.example.com\npath: /v1/images/generations\n"
    )
    return chain


def _filled(text: str, limits_s: dict[TimerKind, float]) -> str:
    for kind, limit_s in limits_s.items():
        text = text.replace(f"<{kind}>", f"{limit_s:.0f}")
    return text
