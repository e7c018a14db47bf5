"""From the fields of a request to an order, or to the refusal the real API would answer.

The table says what each parameter may be; the walk over it knows no parameter by name. What depends on the
model or on two parameters at once is below, one function a rule.
Reference "OpenAI Images API", sections 1 and 4.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

from whocut_mock import errors, models
from whocut_mock.models import Model
from whocut_mock.uploads import Reference
from whocut_mock.usage import reference_tokens

Fields = Mapping[str, Any]

FILE = object()  # takes the place of a part with a file in a form's fields

GENERATIONS, EDITS, VARIATIONS, RESPONSES = (
    "images.generations",
    "images.edits",
    "images.variations",
    "responses",
)

PROMPT_CHARS = 32_000
EDGE_STEP_PX, EDGE_MOST_PX, RATIO_MOST, PIXELS_LEAST, PIXELS_MOST = 16, 3_840, 3, 655_360, 8_294_400


@dataclass(frozen=True)
class Order:
    """What is to be made, everything resolved: no `auto` is left in it."""

    endpoint: str
    model: Model
    model_name: str
    prompt: str
    size: tuple[int, int]
    quality: str
    n: int = 1
    output_format: str = "png"
    output_compression: int = 100
    background: str = "opaque"
    moderation: str = "auto"
    stream: bool = False
    partial_images: int = 0
    safety_identifier: str | None = None
    references: int = 0
    reference_tokens: int = 0
    fidelity: str | None = None
    video: bool = False  # whether it is a film of its picture
    links: bool = False  # whether its pictures are to be downloaded, not in the answer

    @cached_property
    def size_text(self) -> str:
        """`WxH`, as answers carry it."""
        return f"{self.size[0]}x{self.size[1]}"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One key of a body: its type, its bounds, and the models that know it."""

    name: str
    kind: type | None  # None: read elsewhere, and only its name is known here
    low: int = 0
    high: int = 0
    choices: Callable[[Model], tuple[str, ...]] | tuple[str, ...] = ()
    nullable: bool = False
    known: Callable[[Model], bool] = lambda _: True
    endpoints: tuple[str, ...] = (GENERATIONS, EDITS, RESPONSES)
    bodies: tuple[str, ...] = ("json", "form")


_IMAGES = (GENERATIONS, EDITS)
_ANY = (GENERATIONS, EDITS, VARIATIONS, RESPONSES)

PARAMETERS = {
    parameter.name: parameter
    for parameter in (
        Parameter("prompt", str, low=1, high=PROMPT_CHARS, endpoints=_IMAGES),
        Parameter("model", str, nullable=True, endpoints=_ANY),
        Parameter("n", int, low=1, high=10, nullable=True, endpoints=(*_IMAGES, VARIATIONS)),
        Parameter("size", str, nullable=True, endpoints=_ANY),
        Parameter("quality", str, choices=lambda model: (*model.qualities, "auto"), nullable=True),
        Parameter("output_format", str, choices=lambda model: model.formats, nullable=True),
        Parameter("output_compression", int, low=0, high=100, nullable=True),
        Parameter("background", str, choices=("transparent", "opaque", "auto"), nullable=True),
        # Not in the schema of the multipart edit, and in that of the JSON edit.
        Parameter("moderation", str, choices=("low", "auto"), nullable=True, bodies=("json",)),
        Parameter("stream", bool, nullable=True, endpoints=_IMAGES),
        Parameter("partial_images", int, low=0, high=3, nullable=True),
        Parameter("user", str, endpoints=(*_IMAGES, VARIATIONS)),
        Parameter("safety_identifier", str, nullable=True, endpoints=_IMAGES),
        Parameter("complexity", str, choices=("low", "medium", "high"), known=lambda model: model.complexity),
        Parameter("frame_count", int, low=2, high=16, known=lambda model: "gif" in model.formats),
        Parameter("frame_duration_ms", int, low=1, high=60_000, known=lambda model: "gif" in model.formats),
        Parameter("svg", dict, known=lambda model: "svg" in model.formats),
        Parameter(
            "input_fidelity", str, choices=("high", "low"), nullable=True, endpoints=(EDITS, RESPONSES)
        ),
        Parameter("image", None, endpoints=(EDITS, VARIATIONS), bodies=("form",)),
        Parameter("image[]", None, endpoints=(EDITS,), bodies=("form",)),
        Parameter("images", None, endpoints=(EDITS,), bodies=("json",)),
        Parameter("mask", None, endpoints=(EDITS,)),
        Parameter("markup", None, known=lambda model: model.markup, endpoints=(EDITS,)),
    )
}

# What the official SDK's own tests send although these models know it no more.
LENIENT_UNKNOWN = frozenset({"response_format", "style"})


@dataclass(frozen=True, slots=True)
class Reading:
    """How fields are read: for which endpoint, how strictly, and what `auto` becomes."""

    endpoint: str = GENERATIONS
    lenient: bool = False
    tolerated: frozenset[str] = frozenset()  # names to accept although the model refuses them
    form: bool = False  # every value is text
    auto_quality: str = "medium"
    prefix: str = ""  # before a parameter's name in a refusal: `tools[0].`

    @property
    def body(self) -> str:
        """The kind of body, as the table names it."""
        return "form" if self.form else "json"


def read_order(fields: Fields, reading: Reading) -> Order:
    """The order in these fields, or the refusal of the first thing that is wrong with them."""
    model_name, model = _model(fields, reading)
    values = _values(fields, model, reading)
    if "prompt" in _of_endpoint(reading.endpoint, reading.body) and "prompt" not in values:
        raise errors.missing_parameter("prompt")
    quality = values.get("quality") or "auto"
    output_format = values.get("output_format") or "png"
    order = Order(
        endpoint=reading.endpoint,
        model=model,
        model_name=model_name,
        prompt=values.get("prompt", ""),
        size=_size(values.get("size") or "auto", model, reading),
        quality=reading.auto_quality if quality == "auto" else quality,
        n=values.get("n") or 1,
        output_format=output_format,
        output_compression=_or(values.get("output_compression"), 100),
        background=_background(values.get("background") or "auto", model, output_format, reading),
        moderation=values.get("moderation") or "auto",
        stream=bool(values.get("stream")),
        partial_images=values.get("partial_images") or 0,
        safety_identifier=values.get("safety_identifier"),
        fidelity=_fidelity(values.get("input_fidelity"), model, model_name, reading),
        links=fields.get("response_format") == "url",  # refused above, unless it is tolerated
    )
    _check_together(order, fields)
    return order


def _check_together(order: Order, fields: Fields) -> None:
    """What two parameters may not be at once."""
    if order.stream and order.n > 1:
        raise errors.stream_needs_one()
    if order.stream and order.output_format in ("gif", "svg"):
        raise errors.no_stream_of(order.output_format)
    if order.output_format == "svg" and order.n > 1:
        raise errors.integer_outside("n", order.n, 1, 1)
    if fields.get("mask") is not None and fields.get("markup") is not None:
        raise errors.mask_or_markup()


def _or(value: int | None, default: int) -> int:
    return default if value is None else value


@cache
def _of_endpoint(endpoint: str, body: str) -> dict[str, Parameter]:
    return {name: one for name, one in PARAMETERS.items() if endpoint in one.endpoints and body in one.bodies}


def with_references(order: Order, references: Sequence[Reference]) -> Order:
    """The order with its input images; the models of free sizes always look at them closely."""
    high = order.fidelity == "high" or order.model.free_sizes
    tokens = sum(reference_tokens(one.width, one.height, high_fidelity=high) for one in references)
    return replace(order, references=len(references), reference_tokens=tokens)


def read_variation(
    fields: Fields, reading: Reading, references: Sequence[Reference], *, fixture: bool
) -> Order:
    """Variations died with their only model; they answer the SDK's own tests, and anyone when lenient."""
    name = fields.get("model", "dall-e-2")
    if not reading.lenient and (name != "dall-e-2" or not fixture):
        found = isinstance(name, str) and models.find(name)
        raise errors.variations_retired(name) if found else errors.no_such_model(str(name))
    known = {key: value for key, value in fields.items() if key != "model"}
    return with_references(read_order(known, reading), references)


def _model(fields: Fields, reading: Reading) -> tuple[str, Model]:
    name = fields.get("model")
    if name is None:
        name = models.DEFAULT_MODEL
    if not isinstance(name, str):
        raise errors.wrong_type(f"{reading.prefix}model", "a string", errors.kind_of(name))
    found = models.find(name)
    if found is None and reading.lenient:
        found = models.MODELS[models.DEFAULT_MODEL]
    if found is None:
        raise errors.no_such_model(name)
    return name, found


def _values(fields: Fields, model: Model, reading: Reading) -> dict[str, Any]:
    """Every field, checked against the table; unknown keys first, in the order of the body."""
    table = _of_endpoint(reading.endpoint, reading.body)
    for name in fields:
        if name in table and table[name].known(model):
            continue
        if name not in reading.tolerated and not (reading.lenient and name in LENIENT_UNKNOWN):
            raise errors.unknown_parameter(reading.prefix + name)
    values = {}
    for name, value in fields.items():
        one = table.get(name)
        if one is None or one.kind is None or (value is None and one.nullable):
            continue
        values[name] = _checked(one, one.kind, value, model, reading)
    return values


def _checked(parameter: Parameter, kind: type[Any], value: Any, model: Model, reading: Reading) -> Any:
    name = reading.prefix + parameter.name
    if reading.form:
        value = _from_text(kind, value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise errors.wrong_type(name, errors.JSON_NAMES[kind], errors.kind_of(value))
    if kind is int:
        _check_integer(name, parameter, value)
    if kind is str:
        _check_string(name, parameter, value, model)
    return value


def _from_text(kind: type, value: Any) -> Any:
    """What a form's text means; text that means nothing else stays text."""
    if kind is bool:
        return {"true": True, "false": False}.get(value, value)
    if kind is int and isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,15}", value):
        return int(value)
    return value


def _check_integer(name: str, parameter: Parameter, value: int) -> None:
    if not parameter.low <= value <= parameter.high:
        raise errors.integer_outside(name, value, parameter.low, parameter.high)


def _check_string(name: str, parameter: Parameter, value: str, model: Model) -> None:
    if len(value) < parameter.low:
        raise errors.empty_string(name)
    if parameter.high and len(value) > parameter.high:
        raise errors.string_too_long(name, len(value), parameter.high)
    choices = parameter.choices(model) if callable(parameter.choices) else parameter.choices
    if choices and value not in choices:
        raise errors.bad_choice(name, value, choices)


def _size(text: str, model: Model, reading: Reading) -> tuple[int, int]:
    if text == "auto":
        return models.SQUARE
    size = _parsed_size(text)
    reason = _size_reason(size, model)
    if reason is None:
        assert size is not None
        return size
    if reading.lenient:
        return models.SQUARE
    raise errors.bad_size(text, reason, fixed=not model.free_sizes, param=f"{reading.prefix}size")


def _parsed_size(text: str) -> tuple[int, int] | None:
    width, by, height = text.partition("x")
    digits = (width + height).isascii() and width.isdigit() and height.isdigit() and len(text) <= 11
    return (int(width), int(height)) if by and digits else None


def _size_reason(size: tuple[int, int] | None, model: Model) -> str | None:
    """Why the model does not make this size; `None` if it does."""
    if not model.free_sizes:
        known = size in models.FIXED_SIZES
        return None if known else "Supported sizes are 1024x1024, 1024x1536, 1536x1024, and auto."
    if size is None or min(size) == 0:
        return "Expected a size in the form WIDTHxHEIGHT, or auto."  # ours: no published wording
    return next((reason for wrong, reason in _SIZE_RULES if wrong(*size)), None)


# The wordings of the edge, step and minimum rules are published; the other two follow them (template).
_SIZE_RULES: tuple[tuple[Callable[[int, int], bool], str], ...] = (
    (
        lambda w, h: bool(w % EDGE_STEP_PX or h % EDGE_STEP_PX),
        "Width and height must both be divisible by 16.",
    ),
    (lambda w, h: max(w, h) > EDGE_MOST_PX, "The longest edge must be less than or equal to 3840"),
    (
        lambda w, h: max(w, h) > RATIO_MOST * min(w, h),
        "The ratio of the longest edge to the shortest must be less than or equal to 3:1.",
    ),
    (lambda w, h: w * h < PIXELS_LEAST, "Requested resolution is below the current minimum pixel budget."),
    (lambda w, h: w * h > PIXELS_MOST, "Requested resolution is above the current maximum pixel budget."),
)


def _background(value: str, model: Model, output_format: str, reading: Reading) -> str:
    if value != "transparent":
        return "opaque"
    if model.transparent and output_format in ("png", "webp"):
        return "transparent"
    if reading.lenient:
        return "opaque"
    raise errors.no_transparency(output_format if model.transparent else None)


def _fidelity(value: str | None, model: Model, model_name: str, reading: Reading) -> str | None:
    if value is None or value in model.fidelities or reading.lenient or "input_fidelity" in reading.tolerated:
        return value
    if not model.fidelities:
        raise errors.no_input_fidelity(model_name)
    raise errors.bad_choice(f"{reading.prefix}input_fidelity", value, model.fidelities)
