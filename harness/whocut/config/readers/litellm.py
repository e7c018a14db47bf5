"""LiteLLM's proxy, config.yaml: a model's own timeout before the router's before the settings'.

The model's name decides, not the host. A request for images goes to the models that are said to make images, by
their mode or by their names; where those differ, the models are named.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from whocut.chain.catalogue import catalogue
from whocut.chain.layers import LayerRetries
from whocut.chain.timers import TimerKind
from whocut.config import units
from whocut.config.building import layer_of, limit_at, put
from whocut.config.formats import Format, Source, file_name, register
from whocut.config.reading import Later, NotRead, Reading, Route, reading_of_many
from whocut.config.trees import Tree, yaml_trees
from whocut.errors import BadFile
from whocut.words import times

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from whocut.chain.catalogue import Limit
    from whocut.chain.layers import Layer
    from whocut.config.reading import Rank

_IMAGES: Final = re.compile(
    r"gpt-image|chatgpt-image|dall-e|imagen|flux|stable-?(?:diffusion|image)|recraft|ideogram", re.IGNORECASE
)
# Its providers for whose images it uses OpenAI's SDK; for the others it has a client without tries of its own.
_BY_SDK: Final = frozenset({"openai", "litellm_proxy", "hosted_vllm", "together_ai", "xai", "nebius"})
_MODES: Final = frozenset({"", "image_generation"})  # of models that may be asked for images
_NOTHING: Final = Tree("", 0, None)


def _read(sources: Sequence[Source]) -> Reading:
    not_read: list[NotRead] = []
    routes: list[Route] = []
    for source in sources:
        trees = yaml_trees(source.path, source.text)
        tree = trees[0] if trees else _NOTHING
        if not tree.is_mapping:
            raise BadFile(
                source.path, "it holds no fields; LiteLLM's file has model_list and settings", line=1
            )
        not_read += [
            NotRead(file=one.file, line=one.line, what=f"include {one.text()}: give that file too")
            for one in (tree.get("include") or _NOTHING).each()
        ]
        models = list((tree.get("model_list") or _NOTHING).each())
        routes += [_route(tree, model, not_read) for model in models or [_NOTHING]]
    return reading_of_many(routes, not_read)


def _route(tree: Tree, model: Tree, not_read: list[NotRead]) -> Route:
    name = model.text("model_name")
    return Route(
        host="",
        path=f" model {name}" if name else "",
        file=(model if model.line else tree).file,
        line=model.line or tree.line,
        layers=Later(lambda: (_layer(tree, model, not_read),)),
        takes_path=_takes(model),
    )


def _takes(model: Tree) -> Callable[[str], Rank | None]:
    mode = model.text("model_info", "mode")
    names = f"{model.text('model_name')} {model.text('litellm_params', 'model')}"
    makes = mode == "image_generation" if mode else bool(_IMAGES.search(names))

    def takes(path: str) -> Rank | None:
        if "/images/" not in path:
            return (0,)
        return (2,) if makes else None if mode else (1,)

    return takes


def _layer(tree: Tree, model: Tree, not_read: list[NotRead]) -> Layer:
    limits: dict[TimerKind, Limit] = {}
    for kind, names in (
        (TimerKind.FIRST_BYTE, ("timeout",)),
        (TimerKind.IDLE, ("stream_timeout", "timeout")),
    ):
        found, inherited = _setting(tree, model, names)
        directive = "stream_timeout" if found and _called(found, tree, model) == "stream_timeout" else ""
        own: dict[str, Any] = {"directive": directive, "knob": "stream_timeout: {s}"} if directive else {}
        put(limits, kind, limit_at(found, units.seconds, not_read, inherited=inherited, **own))
    cancel = tree.text("general_settings", "cancel_on_disconnect") == "true"
    retries = _retries(tree, model, not_read)
    return layer_of("litellm", limits, retries=retries, notices_abort=True if cancel else None)


def _called(found: Tree, tree: Tree, model: Tree) -> str:
    """Whether a value is the limit of streams alone."""
    streams = (model.get("litellm_params", "stream_timeout"), tree.get("router_settings", "stream_timeout"))
    return "stream_timeout" if any(found is one for one in streams) else ""


def _setting(tree: Tree, model: Tree, names: Sequence[str]) -> tuple[Tree | None, bool]:
    for name in names:
        own = model.get("litellm_params", name)
        if own is not None:
            return own, False
        outer = tree.get("router_settings", name)
        if outer is None and name == "timeout":
            outer = tree.get("litellm_settings", "request_timeout")
        if outer is not None:
            return outer, True
    return None, True


def _retries(tree: Tree, model: Tree, not_read: list[NotRead]) -> LayerRetries | None:
    """The tries after a timeout: the policy's for it, else the router's, else the settings'; None is the preset's.

    In each of them OpenAI's SDK asks for an image several times, where it is the client. No setting changes that.
    """
    by_default = catalogue()["litellm"].retries
    mode = model.text("model_info", "mode")
    by_sdk = mode in _MODES and _provider(model) in _BY_SDK
    for found in (
        tree.get("router_settings", "retry_policy", "TimeoutErrorRetries"),
        model.get("litellm_params", "num_retries"),
        tree.get("router_settings", "num_retries"),
        tree.get("litellm_settings", "num_retries"),
    ):
        if found is not None and found.text().isdecimal():
            tries = 1 + int(found.text())
            if by_sdk:
                tries *= by_default.below
                often = times(by_default.below)
                what = f"OpenAI's SDK asks {often} for an image in each of these tries, whatever is set"
                not_read.append(NotRead(file=found.file, line=found.line, what=what))
            return LayerRetries(tries=tries, post=True, on_timeout=True, file=found.file, line=found.line)
    if by_sdk or mode not in _MODES:
        return None
    return LayerRetries(tries=by_default.tries // by_default.below, post=True, on_timeout=True)


def _provider(model: Tree) -> str:
    """Who is asked for a model: said beside it, or as the beginning of its name."""
    provider, slash, _ = model.text("litellm_params", "model").partition("/")
    return model.text("litellm_params", "custom_llm_provider") or (provider if slash else "openai")


_MODELS: Final = re.compile(r"^model_list\s*:", re.MULTILINE)
_SETTINGS: Final = re.compile(r"^(?:litellm_settings|router_settings)\s*:", re.MULTILINE)


def _looks(source: Source) -> int:
    if not file_name(source).endswith((".yaml", ".yml")):
        return 0
    if source.has(_MODELS, "model_list"):
        return 90
    return 80 if source.has(_SETTINGS, "litellm_settings", "router_settings") else 0


LITELLM: Final = register(Format(name="litellm", title="LiteLLM config.yaml", looks=_looks, read=_read))
