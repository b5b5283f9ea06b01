"""Facts and their links as files that programs for drawing read."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

from ..errors import InvalidInput
from ..model import Fact, Link

_NODE = ("key", "text", "memory_type", "category", "importance", "confidence")
_EDGE = ("type", "strength")
_NAMESPACE = "http://graphml.graphdrawing.org/xmlns"
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def drawn(facts: Sequence[Fact], links: Iterable[Link], how: str) -> str:
    """`facts` and the links between them as `graphml` or `json`. Raises `InvalidInput` for another format."""
    if how not in _FORMATS:
        raise InvalidInput(f"There is no format {how!r}. Use {' or '.join(_FORMATS)}.")
    known = {fact.id for fact in facts}
    return _FORMATS[how](facts, [link for link in links if {link.source, link.target} <= known])


def _json(facts: Sequence[Fact], links: Sequence[Link]) -> str:
    """Nodes and links, as d3 and networkx read them."""
    nodes = [{"id": fact.id, "value": fact.value, **_named(fact, _NODE)} for fact in facts]
    edges = [
        {"source": link.source, "target": link.target, "mutual": link.mutual, **_named(link, _EDGE)} for link in links
    ]
    graph = {"directed": True, "multigraph": True, "graph": {}, "nodes": nodes, "links": edges}
    return json.dumps(graph, ensure_ascii=False, allow_nan=False)


def _graphml(facts: Sequence[Fact], links: Sequence[Link]) -> str:
    root = ElementTree.Element("graphml", xmlns=_NAMESPACE)
    for part, names in (("node", _NODE), ("edge", _EDGE)):
        for name in names:
            typed = "double" if name in ("importance", "confidence", "strength") else "string"
            ElementTree.SubElement(root, "key", {"id": name, "for": part, "attr.name": name, "attr.type": typed})
    graph = ElementTree.SubElement(root, "graph", edgedefault="directed")
    for fact in facts:
        _data(ElementTree.SubElement(graph, "node", id=fact.id), _named(fact, _NODE))
    for link in links:
        ends = {"source": link.source, "target": link.target, "directed": "false" if link.mutual else "true"}
        _data(ElementTree.SubElement(graph, "edge", ends), _named(link, _EDGE))
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True)


def _data(element: ElementTree.Element, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        ElementTree.SubElement(element, "data", key=name).text = _NOT_IN_XML.sub(
            "\N{REPLACEMENT CHARACTER}", str(value)
        )


def _named(of: Fact | Link, names: Sequence[str]) -> dict[str, Any]:
    return {name: value for name in names if (value := getattr(of, name)) is not None}


_FORMATS: Mapping[str, Callable[[Sequence[Fact], Sequence[Link]], str]] = {"graphml": _graphml, "json": _json}
