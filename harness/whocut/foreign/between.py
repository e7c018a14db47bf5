"""What was said of the places between taps, held against the taps that the material shows.

Two taps around a layer see both of its edges. Once the layer is said, their spans are those of the taps beside a
gateway of a run. What judges that one judges this one: whose timers are known is held against the times that
the taps saw.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from whocut.errors import BadInput
from whocut.verdict.seating import named_apart, seated, taps_of, why_not

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from whocut.chain.layers import Between, Topology
    from whocut.trace.records import Span


def put_between(
    spans: Iterable[Span], topology: Topology, said: Sequence[Between], *, all_there: bool = True
) -> tuple[list[Span], Topology]:
    """The spans of neighbouring taps as those of the taps beside one layer, and the chain with that layer.

    Taps next to each other of which nothing is said have a layer between them that nothing is known of. A tap may
    be between two layers: then it is the inner tap of one and the outer tap of the other. Material of one request
    need not be `all_there`: what it does not show is not said of it.

    Raises:
        BadInput: a tap is not in the material, or another one is between the two.
    """
    spans = named_apart(list(spans))
    order = [layer.name for layer in topology.hops]
    order += [name for name in taps_of(spans).names if name not in order]
    for one in said:
        if all_there and (why := why_not(one, order)):
            from whocut.chain.between import FLAG  # noqa: PLC0415  # it brings pydantic, which costs half a start

            raise BadInput(why, field=FLAG)
    fitting = tuple(one for one in said if all_there or not why_not(one, order))
    return seated(spans, replace(topology, between=fitting))
