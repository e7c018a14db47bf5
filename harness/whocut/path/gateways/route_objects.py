"""Kubernetes objects as plain data, for a proxy that is configured by them: routes, policies, and their lines.

An object that is written again is the last one, as `kubectl apply` has it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import yaml

from whocut.tables import LOADER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_BACKENDS: Final = "BackendTrafficPolicy"
_CALLERS: Final = "ClientTrafficPolicy"

Object = dict[str, Any]


@dataclass(slots=True)
class RouteObject:
    """An HTTPRoute, and the line of each of its rules and matches."""

    object: Object
    rules: list[tuple[int, list[int]]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Its name."""
        return str(at(self.object, "metadata", "name") or "")

    @property
    def lines(self) -> set[int]:
        """Every line on which a rule or a match of it is written."""
        return {line for first, more in self.rules for line in (first, *more)}


@dataclass(slots=True)
class Objects:
    """The objects of a text; one that is written again is the last one."""

    routes: list[RouteObject] = field(default_factory=list)
    others: list[Object] = field(default_factory=list)

    @classmethod
    def of(cls, text: str) -> Objects:
        """The objects of a text; a List is its items.

        Raises:
            yaml.YAMLError: the text is no YAML.
        """
        found: dict[tuple[str, str, str, int], tuple[Object, Any]] = {}
        for node in yaml.compose_all(text, Loader=LOADER):
            for number, (data, inner) in enumerate(_each_object(node)):
                kind, name = str(data.get("kind")), str(at(data, "metadata", "name") or "")
                namespace = str(at(data, "metadata", "namespace") or "")
                found[kind, namespace, name, 0 if name else number] = (data, inner)
        objects = cls()
        for data, node in found.values():
            if data.get("kind") == "HTTPRoute":
                objects.routes.append(RouteObject(data, _lines(node)))
            else:
                objects.others.append(data)
        return objects

    def port(self, route: RouteObject) -> int | None:
        """The port of the listener that a route hangs on; None is any."""
        for parent in listed(route.object, "spec", "parentRefs"):
            if isinstance(parent.get("port"), int):
                return int(parent["port"])
            for gateway in self._of_kind("Gateway"):
                if at(gateway, "metadata", "name") != parent.get("name"):
                    continue
                for listener in listed(gateway, "spec", "listeners"):
                    if parent.get("sectionName") and listener.get("name") == parent["sectionName"]:
                        return listener.get("port")
        return None

    def _of_kind(self, kind: str) -> Iterator[Object]:
        return (one for one in self.others if one.get("kind") == kind)

    def policies(self, route: RouteObject, rule: Object) -> list[Object]:
        """The specs of the policies that hold for a rule: its own, the route's, the Gateway's, as far as merged."""
        labels = at(route.object, "metadata", "labels")
        targets: list[tuple[Object, Any]] = [
            ({"kind": "HTTPRoute", "name": route.name, "sectionName": rule.get("name")}, labels),
            ({"kind": "HTTPRoute", "name": route.name}, labels),
        ]
        for parent in listed(route.object, "spec", "parentRefs"):
            name, section = parent.get("name"), parent.get("sectionName")
            gateway = next(
                (one for one in self._of_kind("Gateway") if at(one, "metadata", "name") == name), None
            )
            labels = at(gateway, "metadata", "labels")
            targets.append(({"kind": "Gateway", "name": name, "sectionName": section}, labels))
            targets.append(({"kind": "Gateway", "name": name}, labels))
        found: list[Object] = []
        for target, labels in targets:
            for policy in self._of_kind(_BACKENDS):
                spec = policy.get("spec") or {}
                if spec not in found and any(_aims(one, target, labels) for one in _targets(spec)):
                    found.append(spec)
        merged = next((n for n, spec in enumerate(found, 1) if not spec.get("mergeType")), len(found))
        return found[:merged]

    def of_callers(self, *keys: str) -> Any:
        """A value of the first policy for callers that says it."""
        return next(
            (value for one in self._of_kind(_CALLERS) if (value := at(one, "spec", *keys)) is not None), None
        )


def _each_object(node: yaml.Node | None) -> Iterator[tuple[Object, yaml.Node]]:
    data = _plain(node)
    if not isinstance(data, dict) or not isinstance(node, yaml.MappingNode):
        return
    items = _child(node, "items")
    if str(data.get("kind", "")).endswith("List") and isinstance(items, yaml.SequenceNode):
        for item in items.value:
            yield from _each_object(item)
    else:
        yield data, node


def _plain(node: yaml.Node | None) -> Any:
    if node is None:
        return None
    loader = LOADER("")
    try:
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _child(node: yaml.Node | None, *keys: str) -> yaml.Node | None:
    for key in keys:
        if not isinstance(node, yaml.MappingNode):
            return None
        node = next((value for name, value in node.value if name.value == key), None)
    return node


def _lines(node: yaml.Node) -> list[tuple[int, list[int]]]:
    """The line of each rule, and the lines of its matches."""
    rules = _child(node, "spec", "rules")
    found = []
    for rule in _mappings(rules):
        matches = _child(rule, "matches")
        found.append((rule.start_mark.line + 1, [match.start_mark.line + 1 for match in _mappings(matches)]))
    return found


def _mappings(node: yaml.Node | None) -> list[yaml.Node]:
    nodes = node.value if isinstance(node, yaml.SequenceNode) else []
    return [one for one in nodes if isinstance(one, yaml.MappingNode)]


def _targets(spec: Object) -> list[Object]:
    single = [spec["targetRef"]] if isinstance(spec.get("targetRef"), dict) else []
    return [*listed(spec, "targetRefs"), *single, *listed(spec, "targetSelectors")]


def _aims(written: Object, target: Object, labels: Any) -> bool:
    """Whether a policy's target is this one: by its name and section, or by the labels that it has."""
    if written.get("kind") != target["kind"] or written.get("sectionName") != target.get("sectionName"):
        return False
    wanted = written.get("matchLabels")
    if isinstance(wanted, dict):
        return isinstance(labels, dict) and wanted.items() <= labels.items()
    return bool(written.get("name") == target["name"])


def at(data: Any, *keys: str) -> Any:
    """The value below these keys; None: one of them is missing."""
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def listed(data: Any, *keys: str) -> list[Object]:
    """The mappings in the list below these keys."""
    found = at(data, *keys)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def first_of(policies: Iterable[Object], *keys: str) -> Any:
    """A value of the first of these policies that says it."""
    return next((value for spec in policies if (value := at(spec, *keys)) is not None), None)
