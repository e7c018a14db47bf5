"""Limits written into routes that are there already: their HTTPRoutes, and Envoy Gateway's policies on them.

A rule's own `timeouts` come before every policy, so each rule that takes such a request gets its limit there. A
limit between two bytes has no place in an HTTPRoute: it becomes a BackendTrafficPolicy. Of two policies on one
target Envoy Gateway takes the older one, and refuses the other: a policy that is there is changed.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import yaml

from whocut.config.kubernetes.gateway import BACKENDS, ENVOY_API, gateway_rules
from whocut.config.kubernetes.objects import Objects
from whocut.config.reading import Reading
from whocut.config.writing import Limits, Written, backend_timeouts, gateway_time, lost_in_a_route
from whocut.errors import BadInput
from whocut.tables import LOADER

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from whocut.config.formats import Source
    from whocut.config.kubernetes.objects import Thing
    from whocut.config.reading import Asked

ROUTED: Final = ("gateway-api", "envoy-gateway")
_ROUTES_API: Final = "gateway.networking.k8s.io"
_WIDTH: Final = 100


@dataclass(slots=True)
class _Wanted:
    """An HTTPRoute, and for the numbers of its rules the limits of the requests that each takes."""

    thing: Thing
    limits: dict[int, list[Limits]] = field(default_factory=dict)
    names: dict[int, list[str]] = field(default_factory=dict)

    def of(self, rule: int) -> Limits:
        """The limits under which all of a rule's requests live that lived before."""
        return Limits.loosest(self.limits[rule])

    @property
    def of_all(self) -> Limits:
        """The same for the whole route."""
        return Limits.loosest([one for several in self.limits.values() for one in several])


def written_into(sources: Sequence[Source], wanted: Sequence[tuple[Asked, Limits]], to: str) -> Written:
    """The objects of these files that change, and the new ones, so that requests are held to these limits.

    Raises:
        BadInput: `to` has no routes to write into, or a request is taken by no rule of the files.
    """
    if to not in ROUTED:
        raise BadInput(
            f"'{to}' is no kind of route; routes are written into for {' and '.join(ROUTED)}", field="for"
        )
    objects = Objects.of(sources)
    found = _by_rule(objects, wanted)
    plain = _plain(sources)
    lost: dict[str, None] = {}
    policies: list[dict[str, Any]] = []
    routes: list[dict[str, Any]] = []
    for one in found:
        route = deepcopy(_object(plain, one.thing))
        made = list(_policies(objects, plain, one, route, lost)) if to == "envoy-gateway" else []
        for number in one.limits:
            rule = route["spec"]["rules"][number]
            rule["timeouts"] = {"request": gateway_time(one.of(number).total_s)}
            for sentence in (
                lost_in_a_route(one.of(number)) if to == "gateway-api" else one.of(number).retried
            ):
                lost[f"{', '.join(one.names[number])}: {sentence}"] = None
        routes.append(route)
        policies += made
    return Written("---\n".join(_dumped(one) for one in (*routes, *policies)), tuple(lost))


def _by_rule(objects: Objects, wanted: Sequence[tuple[Asked, Limits]]) -> list[_Wanted]:
    rules = list(gateway_rules(objects))
    reading = Reading(routes=tuple(route for _, _, route in rules))
    owners = {id(route): (thing, number) for thing, number, route in rules}
    found: dict[int, _Wanted] = {}
    for asked, limits in wanted:
        taken = [route for route in reading.taken(asked) if route.layers]
        if not taken:
            raise BadInput(
                f"no rule of the routes takes {asked.name}; add one, or ask with --host and --path"
            )
        for route in taken:
            _add(found, *owners[id(route)], asked, limits)
    return list(found.values())


def _add(found: dict[int, _Wanted], thing: Thing, number: int, asked: Asked, limits: Limits) -> None:
    one = found.setdefault(id(thing), _Wanted(thing))
    one.limits.setdefault(number, []).append(limits)
    one.names.setdefault(number, []).append(asked.name)


def _policies(
    objects: Objects,
    plain: dict[tuple[str, str, str], dict[str, Any]],
    one: _Wanted,
    route: dict[str, Any],
    lost: dict[str, None],
) -> Iterator[dict[str, Any]]:
    """One policy for the whole route where its rules agree or have one; else one for each rule, by its name."""
    of_route = objects.aimed_at(BACKENDS, one.thing.kind, one.thing.name)
    rules = route["spec"]["rules"]
    named = {number: str(rules[number].get("name") or f"rule-{number}") for number in one.limits}
    of_rules = {
        number: [
            policy
            for policy in objects.aimed_at(BACKENDS, one.thing.kind, one.thing.name, name)
            if policy not in of_route
        ]
        for number, name in named.items()
    }
    agree = len({one.of(number) for number in one.limits}) == 1
    if (agree or of_route) and not any(of_rules.values()):
        if not agree:
            lost[
                f"{one.thing.name}: its policy is one for all rules, and has the longest of their limits; "
                "give each rule a policy by its name to keep them apart"
            ] = None
        yield _policy(plain, one, of_route, one.of_all, "")
        return
    for number, name in named.items():
        rules[number] = {"name": name, **rules[number]}
        yield _policy(plain, one, of_rules[number], one.of(number), name)


def _policy(
    plain: dict[tuple[str, str, str], dict[str, Any]],
    one: _Wanted,
    there: Sequence[Thing],
    limits: Limits,
    section: str,
) -> dict[str, Any]:
    """The policy that is there, with these limits, or a new one."""
    if there:
        policy = deepcopy(_object(plain, there[0]))
        timeout = policy["spec"].setdefault("timeout", {})
        for part, times in backend_timeouts(limits).items():
            timeout.setdefault(part, {}).update(times)
            timeout[part].pop("maxStreamDuration", None)
        return policy
    target = {"group": _ROUTES_API, "kind": "HTTPRoute", "name": one.thing.name}
    metadata = {"name": f"{one.thing.name}-{section}" if section else one.thing.name}
    namespace = one.thing.tree.text("metadata", "namespace")
    return {
        "apiVersion": f"{ENVOY_API}/v1alpha1",
        "kind": BACKENDS,
        "metadata": metadata | ({"namespace": namespace} if namespace else {}),
        "spec": {
            "targetRefs": [target | ({"sectionName": section} if section else {})],
            "timeout": backend_timeouts(limits),
        },
    }


# --- objects as plain data ------------------------------------------------------------------------


def _plain(sources: Sequence[Source]) -> dict[tuple[str, str, str], dict[str, Any]]:
    """Every object by its kind, namespace and name; the last of those that have them alike."""
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for source in sources:
        pending = list(yaml.load_all(source.text, Loader=LOADER))
        while pending:
            data = pending.pop(0)
            if not isinstance(data, dict):
                continue
            if str(data.get("kind", "")).endswith("List") and isinstance(data.get("items"), list):
                pending = [*data["items"], *pending]
                continue
            metadata = data.get("metadata") or {}
            found[str(data.get("kind")), str(metadata.get("namespace") or ""), str(metadata.get("name"))] = (
                data
            )
    return found


def _object(plain: dict[tuple[str, str, str], dict[str, Any]], thing: Thing) -> dict[str, Any]:
    return plain[thing.kind, thing.tree.text("metadata", "namespace"), thing.name]


def _dumped(data: dict[str, Any]) -> str:
    kept = {key: value for key, value in data.items() if key != "status"}
    return str(yaml.safe_dump(kept, sort_keys=False, width=_WIDTH, allow_unicode=True))
