"""The slots of the statement table: each reads one kind of thing at a place in a clause, or refuses.

A slot is given the clause, where to begin and where it must end at the latest. It says where it stopped, so that what
follows can be read as well. Importing the package registers all of them in `clause.SLOTS`.
"""

from ..clause import SLOTS
from . import (
    belongings,
    food_and_health,
    goals,
    habits,
    people,
    phrases,
    places,
    plans,
    preferences,
    skills,
    study,
    things,
    who,
    work,
)

__all__ = [
    "SLOTS",
    "belongings",
    "food_and_health",
    "goals",
    "habits",
    "people",
    "phrases",
    "places",
    "plans",
    "preferences",
    "skills",
    "study",
    "things",
    "who",
    "work",
]
