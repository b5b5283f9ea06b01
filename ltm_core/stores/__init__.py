"""Databases behind one seam: `base` is what they must do, `memory` is what it means."""

from .urls import open_store

__all__ = ["open_store"]
