"""YAML's events as trees: what is merged, named and repeated, each value with its line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from whocut.config.reading import Asked
from whocut.config.sources import read_files
from whocut.config.trees import Tree, yaml_trees
from whocut.errors import BadFile

if TYPE_CHECKING:
    from pathlib import Path


def plain(tree: Tree) -> Any:
    """What it holds, without its places."""
    if isinstance(tree.value, dict):
        return {key: plain(child) for key, child in tree.value.items()}
    return [plain(child) for child in tree.value] if isinstance(tree.value, list) else tree.value


SCALARS = {"a": "null", "b": None, "c": True, "d": "yes", "e": "010", "f": "true"}


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("a: &x {b: 1}\nc: *x\n", {"a": {"b": "1"}, "c": {"b": "1"}}),
        ("a: &x [1, ~]\nb: {<<: {c: 2, d: 3}, d: 4}\n", {"a": ["1", None], "b": {"c": "2", "d": "4"}}),
        (
            "a: &x {k: 1, l: 1}\nb: &y {k: 2}\nc: {<<: [*x, *y]}\n",
            {"a": {"k": "1", "l": "1"}, "b": {"k": "2"}, "c": {"k": "1", "l": "1"}},
        ),
        ("&k key: v\n*k : w\n", {"key": "w"}),
        ("a: 'null'\nb: null\nc: yes\nd: 'yes'\ne: 010\nf: !!str true\n", SCALARS),
        ("a: &x 1\nb: &x 2\nc: *x\n", {"a": "1", "b": "2", "c": "2"}),
        ("a: !Ref Limit\nb: !Sub [x, {y: z}]\n", {"a": "Limit", "b": ["x", {"y": "z"}]}),
        ("--- \n--- {a: 1}\n", {"a": "1"}),
    ],
)
def test_a_text_means_what_it_means_to_other_loaders(text: str, means: Any) -> None:
    """Numbers keep their form; a merged entry comes before the mapping's own."""
    assert plain(yaml_trees("a.yaml", text)[-1]) == means


def test_each_value_has_the_line_of_its_key() -> None:
    """Also where the value stands below it, and where it is another's."""
    (tree,) = yaml_trees("a.yaml", "# first\na: &x\n  b: 1\nc:\n  - 2\n  - d: 3\ne: *x\n")

    assert [child.line for _, child in tree.items()] == [2, 4, 7]
    assert tree.get("c", 1, "d") is not None
    assert [one.line for one in (tree.get("a", "b"), tree.get("c", 1, "d")) if one] == [3, 6]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: *gone\n", "undefined alias 'gone'"),
        ("a: &a {b: *a}\n", "undefined alias 'a'"),
        ("a: &x 1\n---\nb: *x\n", "undefined alias 'x'"),
        ("a: {{ .Values.x }}\n", "it is a template"),
        ("a: " + "[" * 70 + "]" * 70, "nested too deeply"),
        ("[" * 100_000, "nested too deeply"),
        ("- " * 100_000 + "a", "nested too deeply"),
        ("a: [1, 2\n", "cannot be read as YAML"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(text: str, says: str) -> None:
    """However deep: nothing recurses as the text does."""
    with pytest.raises(BadFile, match=says):
        yaml_trees("a.yaml", text)


def test_five_megabytes_of_manifests_are_read(tmp_path: Path) -> None:
    """The last of three thousand hosts, with its line."""
    entry = (
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: i{n}\n  annotations:\n"
        "    nginx.ingress.kubernetes.io/proxy-read-timeout: '{n}'\n    note: {pad}\n"
        "spec:\n  rules: [{{host: h{n}.example.com, http: {{paths: [{{path: /, pathType: Prefix}}]}}}}]\n---\n"
    )
    text = "".join(entry.format(n=n, pad="x" * 1500) for n in range(3000))
    path = tmp_path / "all.yaml"
    path.write_text(text)
    assert len(text) > 5_000_000

    (layer,) = read_files([str(path)], Asked(host="h2999.example.com", path="/v1")).layers

    assert {(timer.limit_s, timer.line) for timer in layer.timers.values() if timer.file} == {
        (2999.0, 29_996)
    }
