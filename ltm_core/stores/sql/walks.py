"""Walking along links in one statement: a recursive query over who is reached at which depth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    Integer,
    Label,
    Select,
    Table,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    or_,
    select,
)

from ..base import Direction
from .tables import LAYOUTS, TABLES

Test = ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class Walls:
    """What admits the records that a walk begins with, those that it reaches, and the links that it goes along."""

    start: Test
    nodes: Test
    links: Test


def walk(kind: str, direction: Direction, walls: Walls) -> Select[Any]:
    """The cells of each node that is reached, its depth, and the cells of each link that arrives from one less.

    Who is reached again at a greater depth is gone on from again, at most `depth` times: the rows of the recursion are
    nodes by depth, so that circles end and their number does not grow with that of the ways.
    """
    near = _reached(kind, direction, walls)
    nearest = select(near.c.id, func.min(near.c.depth).label("depth")).group_by(near.c.id).cte("nearest")
    before, node, link = nearest.alias("before"), TABLES[kind], TABLES["link"]
    arrives = and_(
        before.c.depth == nearest.c.depth - 1, _leads(link, before.c.id, nearest.c.id, direction), walls.links
    )
    cells = [node.c[name] for name in LAYOUTS[kind].names]
    of_link = [_named(link, name) for name in LAYOUTS["link"].names]
    reached = nearest.join(node, node.c.id == nearest.c.id).join(before, before.c.depth == nearest.c.depth - 1)
    found = select(*cells, nearest.c.depth, *of_link).select_from(reached.join(link, arrives))
    return found.where(nearest.c.depth > 0).order_by(nearest.c.depth, nearest.c.id)


def _reached(kind: str, direction: Direction, walls: Walls) -> CTE:
    node, link = TABLES[kind], TABLES["link"]
    begun = select(node.c.id, literal_column("0", Integer()).label("depth")).where(walls.start)
    near = begun.cte("near", recursive=True)
    here = near.c.id
    step = near.join(link, _touches(link, here, direction)).join(node, _other_end(link, here, direction, node))
    further = select(node.c.id, near.c.depth + 1).select_from(step)
    within = near.c.depth < bindparam("depth", type_=Integer())
    return near.union(further.where(within, walls.links, walls.nodes))


def _touches(link: Table, here: ColumnElement[str], direction: Direction) -> Test:
    if direction == "both":
        return or_(link.c.source == here, link.c.target == here)
    return (link.c.source if direction == "out" else link.c.target) == here


def _other_end(link: Table, here: ColumnElement[str], direction: Direction, node: Table) -> Test:
    if direction == "both":
        return node.c.id == case((link.c.source == here, link.c.target), else_=link.c.source)
    return node.c.id == (link.c.target if direction == "out" else link.c.source)


def _leads(link: Table, here: ColumnElement[str], there: ColumnElement[str], direction: Direction) -> Test:
    out, back = (and_(link.c.source == one, link.c.target == other) for one, other in ((here, there), (there, here)))
    return or_(out, back) if direction == "both" else out if direction == "out" else back


def _named(link: Table, name: str) -> Label[Any]:
    return link.c[name].label(f"link_{name}")
