"""Kubernetes objects of some files, by kind and name, and what could not be read of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from whocut.config.reading import NotRead
from whocut.config.trees import Tree, yaml_trees

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

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
        before = self._places.get(thing.key, len(self.things)) if thing.name else len(self.things)
        if before == len(self.things):
            self._places[thing.key] = before
            self.things.append(thing)
            return
        where = f"{thing.tree.file}:{thing.tree.line}"
        self.note(
            self.things[before].tree, f"{thing.kind} {thing.name} is written again at {where}, and that holds"
        )
        self.things[before] = thing

    def all(self, *kinds: str) -> Iterator[Thing]:
        """The objects of these kinds."""
        return (thing for thing in self.things if thing.kind in kinds)

    def named(self, kind: str, name: str) -> Thing | None:
        """The object of a kind and a name."""
        return next((thing for thing in self.all(kind) if thing.name == name), None)

    def aimed_at(self, policies: Iterable[str], kind: str, name: str, section: str = "") -> list[Thing]:
        """Policies whose targets are this object, by name or label; first those of this section of it alone."""
        thing = self.named(kind, name)
        labels = thing.tree.get("metadata", "labels") if thing else None
        whole: list[Thing] = []
        of_section: list[Thing] = []
        for policy in self.all(*policies):
            for target in _targets(policy):
                if target.text("kind") != kind or not _is_meant(target, name, labels):
                    continue
                said = target.text("sectionName")
                if not said:
                    whole.append(policy)
                elif said == section:
                    of_section.append(policy)
        return [*of_section, *whole]

    def note(self, tree: Tree, what: str) -> None:
        """Something that could not be read, with its place."""
        self.not_read.append(NotRead(file=tree.file, line=tree.line, what=what))


def _targets(policy: Thing) -> Iterator[Tree]:
    for name in ("targetRefs", "targetRef", "targetSelectors"):
        yield from (policy.spec.get(name) or NOTHING).each()


def _is_meant(target: Tree, name: str, labels: Tree | None) -> bool:
    wanted = target.get("matchLabels")
    if wanted is None:
        return target.text("name") == name
    return labels is not None and all(labels.text(key) == value.text() for key, value in wanted.items())


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
