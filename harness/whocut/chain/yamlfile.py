"""A YAML file together with the line of every value in it, so that a mistake can be named with its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from yaml.constructor import SafeConstructor

from whocut.chain.texts import read_bytes
from whocut.chain.yamldepth import refuse_deep
from whocut.errors import BadFile, nearest
from whocut.tables import LOADER

if TYPE_CHECKING:
    from pathlib import Path

Place = tuple[str | int, ...]
Model = TypeVar("Model", bound=BaseModel)
_MOST_VALUES = 50_000  # with its aliases followed
_MOST_DEPTH = 60
_MAX_BYTES = 1_000_000  # a chain file is a page long; more than this is another kind of file


class YamlFile:
    """What a file says, and on which line it says it."""

    def __init__(self, path: Path | str, text: str) -> None:
        self.path = str(path)
        try:
            node = _compose(text)
            self.data: Any = None if node is None else SafeConstructor().construct_document(node)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            what = getattr(error, "problem", None) or "it is not YAML"
            raise BadFile(self.path, str(what), line=mark.line + 1 if mark else None) from None
        except (ValueError, RecursionError) as error:
            raise BadFile(self.path, f"it cannot be read as YAML: {error}") from None
        self._lines: dict[Place, int] = {}
        if node is not None:
            self._walk(node, ())

    @classmethod
    def read(cls, path: Path) -> YamlFile:
        """Read a file.

        Raises:
            BadFile: the file is missing, is a directory, is not text, or is larger than a megabyte.
        """
        try:
            if path.stat().st_size > _MAX_BYTES:
                raise BadFile(path, "it is larger than a megabyte; a chain file is a page long")
            return cls(path, read_bytes(path).decode())
        except OSError as error:
            raise BadFile(path, f"it cannot be read: {error.strerror or error}") from None
        except UnicodeDecodeError:
            raise BadFile(path, "it is not UTF-8 text") from None

    def _walk(self, node: yaml.Node, place: Place) -> None:
        if len(self._lines) > _MOST_VALUES or len(place) > _MOST_DEPTH:
            raise BadFile(
                self.path,
                "it holds too many values, or its aliases repeat too many",
                line=node.start_mark.line + 1,
            )
        self._lines[place] = node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                self._walk(value, (*place, str(key.value)))
                self._lines[*place, str(key.value)] = key.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode):
            for index, value in enumerate(node.value):
                self._walk(value, (*place, index))

    def line(self, place: Place) -> int | None:
        """The line on which the value at `place` is written, or that of its nearest ancestor."""
        while place not in self._lines and place:
            place = place[:-1]
        return self._lines.get(place)

    def bad(self, problem: str, *place: str | int) -> BadFile:
        """The error for one value, with its line and field."""
        field = ".".join(f"[{step}]" if isinstance(step, int) else step for step in place).replace(".[", "[")
        return BadFile(self.path, problem, line=self.line(place), field=field)

    def validate(self, model: type[Model]) -> Model:
        """The file as `model`.

        Raises:
            BadFile: the first mistake, with line, field and the nearest right spelling.
        """
        try:
            return model.model_validate(self.data)
        except ValidationError as error:
            raise self._first(error, model) from None

    def _first(self, error: ValidationError, model: type[BaseModel]) -> BadFile:
        first = min(error.errors(), key=lambda found: self.line(tuple(found["loc"])) or 0)
        place = tuple(step for step in first["loc"] if not _is_branch_name(step)) or first["loc"]
        if first["type"] == "extra_forbidden":
            wrong = str(place[-1])
            known = _fields_at(model, place[:-1])
            return self.bad(
                f"there is no such field{nearest(wrong, known)}; there are {', '.join(known)}", *place
            )
        if first["type"] == "missing":
            return self.bad("it is missing", *place)
        message = str(first["ctx"]["error"]) if "error" in first.get("ctx", {}) else first["msg"]
        return self.bad(message[0].lower() + message[1:], *place)


def _compose(text: str) -> Any:
    refuse_deep(text, _MOST_DEPTH)
    try:
        return yaml.compose(text, Loader=LOADER)
    except yaml.YAMLError:
        return yaml.compose(text, Loader=yaml.SafeLoader)  # slower, and it names mistakes better


def _is_branch_name(step: str | int) -> bool:
    """Pydantic puts the name of a union's branch into the place; the file knows nothing of it."""
    return isinstance(step, str) and (step.endswith("]") or step in {"str", "float", "int"})


def _fields_at(model: type[BaseModel], place: Place) -> list[str]:
    """The names that are allowed at `place`: an approximation good enough for a hint."""
    current: type[BaseModel] = model
    for step in place:
        if isinstance(step, int):
            continue
        info = current.model_fields.get(step)
        inner = _model_in(info.annotation) if info else None
        if inner is None:
            continue
        current = inner
    return [info.alias or name for name, info in current.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _model_in(inner)
        if found is not None:
            return found
    return None
