"""The bytes: hops that forward, time and cut as their vendors do, and the real gateways beside them.

::

    caller ⇄ downstream ─┐                 ┌─ upstream ⇄ next layer
                         └─ exchange ──────┘
                              │    └─ deadlines (which timer fires), vendors (what is answered)
                              └─ account (what is written down)

`http1` knows where messages begin and end and no sockets; `chain` puts hops in a row, with `tap`s beside real
gateways; `target` is what is behind the last of them where that is not the mock; `fallen` is what becomes of a
layer that died or failed.
"""

from whocut.path.chain import RunningChain, start_chain
from whocut.path.hop import Hop
from whocut.path.target import Target

__all__ = ["Hop", "RunningChain", "Target", "start_chain"]
