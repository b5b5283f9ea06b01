"""Walking along links in one statement: a recursive query over who is reached at which depth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    Integer,
    Join,
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
from sqlalchemy.ext.compiler import compiles

from ..base import Direction
from .tables import LAYOUTS, TABLES

Test = ColumnElement[bool]
_BACK: Mapping[Direction, Direction] = {"out": "in", "in": "out", "both": "both"}


@dataclass(frozen=True, slots=True)
class Walls:
    """What admits the records that a walk begins with, those that it reaches, and the links that it goes along."""

    start: Test
    nodes: Test
    links: Test


class InOrder(Join):
    """A join whose left side is gone through first: SQLite knows no sizes and would begin with all links there are."""

    inherit_cache = True


@compiles(InOrder)
def _join(join: InOrder, compiler: Any, **how: Any) -> str:
    return str(compiler.visit_join(join, **how))


@compiles(InOrder, "sqlite")
def _cross_join(join: InOrder, compiler: Any, **how: Any) -> str:
    left, right = (compiler.process(side, **{**how, "asfrom": True}) for side in (join.left, join.right))
    return f"{left} CROSS JOIN {right} ON {compiler.process(join.onclause, **{**how, 'asfrom': False})}"


def walk(kind: str, direction: Direction, walls: Walls) -> Select[Any]:
    """The cells of each node that is reached, its depth, and the cells of each link that arrives from one less.

    Who is reached again at a greater depth is gone on from again, at most `depth` times: the rows of the recursion are
    nodes by depth, so that circles end and their number does not grow with that of the ways.
    """
    near = _reached(kind, direction, walls)
    nearest = select(near.c.id, func.min(near.c.depth).label("depth")).group_by(near.c.id).cte("nearest")
    before, node, link = nearest.alias("before"), TABLES[kind], TABLES["link"]
    back = _BACK[direction]
    arrives = and_(_touches(link, nearest.c.id, back), walls.links)
    begins = and_(before.c.id == _other_end(link, nearest.c.id, back), before.c.depth == nearest.c.depth - 1)
    cells = [node.c[name] for name in LAYOUTS[kind].names]
    of_link = [_named(link, name) for name in LAYOUTS["link"].names]
    steps = InOrder(InOrder(InOrder(nearest, node, node.c.id == nearest.c.id), link, arrives), before, begins)
    found = select(*cells, nearest.c.depth, *of_link).select_from(steps)
    return found.where(nearest.c.depth > 0).order_by(nearest.c.depth, nearest.c.id)


def _reached(kind: str, direction: Direction, walls: Walls) -> CTE:
    node, link = TABLES[kind], TABLES["link"]
    begun = select(node.c.id, literal_column("0", Integer()).label("depth")).where(walls.start)
    near = begun.cte("near", recursive=True)
    along = and_(_touches(link, near.c.id, direction), walls.links)
    there = node.c.id == _other_end(link, near.c.id, direction)
    further = select(node.c.id, near.c.depth + 1).select_from(InOrder(InOrder(near, link, along), node, there))
    within = near.c.depth < bindparam("depth", type_=Integer())
    return near.union(further.where(within, walls.nodes))


def _touches(link: Table, here: ColumnElement[str], direction: Direction) -> Test:
    if direction == "both":
        return or_(link.c.source == here, link.c.target == here)
    return (link.c.source if direction == "out" else link.c.target) == here


def _other_end(link: Table, here: ColumnElement[str], direction: Direction) -> ColumnElement[str]:
    if direction == "both":
        return case((link.c.source == here, link.c.target), else_=link.c.source)
    return link.c.target if direction == "out" else link.c.source


def _named(link: Table, name: str) -> Label[Any]:
    return link.c[name].label(f"link_{name}")
