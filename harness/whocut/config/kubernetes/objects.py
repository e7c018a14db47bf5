"""Kubernetes objects of some files, by kind and name, and what could not be read of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from whocut.config.reading import NotRead
from whocut.config.trees import Tree, yaml_trees

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from whocut.config.formats import Source

NOTHING = Tree("", 0, None)


@dataclass(frozen=True, slots=True)
class Thing:
    """One object: its kind, its name, and the tree of the whole."""

    kind: str
    name: str
    tree: Tree

    @property
    def spec(self) -> Tree:
        """Its spec, empty where it has none."""
        return self.tree.get("spec") or NOTHING

    @property
    def qualified(self) -> str:
        """Its name behind its namespace, as Traefik joins them."""
        return f"{self.tree.text('metadata', 'namespace') or 'default'}-{self.name}"

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What makes it one object: no two have it alike."""
        return self.api, self.kind, self.tree.text("metadata", "namespace"), self.name

    @property
    def api(self) -> str:
        """The group of its API, as in ``gateway.networking.k8s.io``."""
        return self.tree.text("apiVersion").rpartition("/")[0]

    def annotation(self, *names: str) -> Tree | None:
        """The first of these annotations that it has."""
        notes = self.tree.get("metadata", "annotations") or NOTHING
        return next((found for name in names if (found := notes.get(name)) is not None), None)


@dataclass(slots=True)
class Objects:
    """Every object of the files, in their order."""

    things: list[Thing] = field(default_factory=list)
    not_read: list[NotRead] = field(default_factory=list)
    _places: dict[tuple[str, str, str, str], int] = field(default_factory=dict, repr=False)
    _by_kind: dict[str, dict[int, Thing]] = field(default_factory=dict, repr=False)
    _by_name: dict[tuple[str, str], int] = field(default_factory=dict, repr=False)
    _aims: dict[str, _Aims] = field(default_factory=dict, repr=False)
    _indexes: dict[tuple[str, Callable[[Thing], str]], dict[str, list[Thing]]] = field(
        default_factory=dict, repr=False
    )

    @classmethod
    def of(cls, sources: Sequence[Source]) -> Objects:
        """The objects of these files; a List is its items."""
        objects = cls()
        for source in sources:
            for tree in yaml_trees(source.path, source.text):
                objects._add(tree)
        return objects

    def _add(self, tree: Tree) -> None:
        kind = tree.text("kind")
        if kind == "List" or (kind.endswith("List") and tree.get("items")):
            for item in (tree.get("items") or NOTHING).each():
                self._add(item)
        elif kind:
            self._put(Thing(kind, tree.text("metadata", "name"), tree))

    def _put(self, thing: Thing) -> None:
        """One object more; one that is written again takes the place of the first, as `kubectl apply` does it."""
        key, last = thing.key, len(self.things)
        at = self._places.get(key, last) if thing.name else last
        if at == last:
            self._places[key] = at
            self._by_name.setdefault((thing.kind, thing.name), at)
            self.things.append(thing)
        else:
            where = f"{thing.tree.file}:{thing.tree.line}"
            what = f"{thing.kind} {thing.name} is written again at {where}, and that holds"
            self.note(self.things[at].tree, what)
            self.things[at] = thing
        self._by_kind.setdefault(thing.kind, {})[at] = thing

    def all(self, *kinds: str) -> Iterator[Thing]:
        """The objects of these kinds, in their order."""
        if len(kinds) == 1:
            return iter(self._by_kind.get(kinds[0], {}).values())
        found = {at: thing for kind in kinds for at, thing in self._by_kind.get(kind, {}).items()}
        return (found[at] for at in sorted(found))

    def named(self, kind: str, name: str) -> Thing | None:
        """The object of a kind and a name, the first of those that have it in several namespaces."""
        at = self._by_name.get((kind, name))
        return None if at is None else self.things[at]

    def by(self, kind: str, says: Callable[[Thing], str], value: str) -> list[Thing]:
        """The objects of a kind of which `says` gives this value; asked of each object once."""
        index = self._indexes.get((kind, says))
        if index is None:
            index = self._indexes[kind, says] = {}
            for thing in self.all(kind):
                index.setdefault(says(thing), []).append(thing)
        return index.get(value, [])

    def aimed_at(self, policies: str, kind: str, name: str, section: str = "") -> list[Thing]:
        """Policies of a kind with this target, by name or label; first those of this section of it alone."""
        if policies not in self._aims:
            self._aims[policies] = _Aims.of(self.all(policies))
        thing = self.named(kind, name)
        labels = thing.tree.get("metadata", "labels") if thing else None
        found = self._aims[policies].at(kind, name, labels)
        whole = [policy for policy, said in found if not said]
        return [*(policy for policy, said in found if said and said == section), *whole]

    def note(self, tree: Tree, what: str) -> None:
        """Something that could not be read, with its place."""
        self.not_read.append(NotRead(file=tree.file, line=tree.line, what=what))


@dataclass(slots=True)
class _Aims:
    """What policies are aimed at: an object by its name, or by its labels; each with its section and place."""

    named: dict[tuple[str, str], list[tuple[int, Thing, str]]] = field(default_factory=dict)
    labelled: list[tuple[int, Thing, Tree]] = field(default_factory=list)

    @classmethod
    def of(cls, policies: Iterable[Thing]) -> _Aims:
        """Each target of each policy."""
        aims = cls()
        for place, (policy, target) in enumerate((one, of) for one in policies for of in _targets(one)):
            if target.get("matchLabels") is not None:
                aims.labelled.append((place, policy, target))
                continue
            at = (target.text("kind"), target.text("name"))
            aims.named.setdefault(at, []).append((place, policy, target.text("sectionName")))
        return aims

    def at(self, kind: str, name: str, labels: Tree | None) -> list[tuple[Thing, str]]:
        """The policies for an object, each with the section that it means, in their order."""
        found = [*self.named.get((kind, name), ())]
        for place, policy, target in self.labelled:
            if target.text("kind") == kind and _has_labels(labels, target):
                found.append((place, policy, target.text("sectionName")))
        return [(policy, section) for _, policy, section in sorted(found, key=lambda one: one[0])]


def _targets(policy: Thing) -> Iterator[Tree]:
    for name in ("targetRefs", "targetRef", "targetSelectors"):
        yield from (policy.spec.get(name) or NOTHING).each()


def _has_labels(labels: Tree | None, target: Tree) -> bool:
    wanted = target.get("matchLabels")
    return (
        labels is not None
        and wanted is not None
        and all(labels.text(key) == value.text() for key, value in wanted.items())
    )


_ANNOTATION: Final = re.compile(r"[\w.-]+/[\w.-]+: .+")


def annotated(text: str, line: int, written: str) -> str | None:
    """A manifest with an annotation more on the object that a line belongs to; None for anything else."""
    lines = text.splitlines(keepends=True)
    if not _ANNOTATION.fullmatch(written) or not 0 < line <= len(lines):
        return None
    begins = max((n + 1 for n in range(line) if lines[n].startswith("---")), default=0)
    for number in range(begins, line):
        found = re.match(r"( *)(metadata|annotations):\s*(#.*)?$", lines[number])
        if found is None or (
            found[2] == "metadata" and any("annotations:" in one for one in lines[begins:line])
        ):
            continue
        inner = f"{found[1]}  "
        new = (
            f"{inner}{written}\n"
            if found[2] == "annotations"
            else f"{inner}annotations:\n{inner}  {written}\n"
        )
        return "".join([*lines[: number + 1], new, *lines[number + 1 :]])
    return None
