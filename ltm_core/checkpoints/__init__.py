"""What runs and threads have reached, for whoever goes on with them."""

from .steps import Begun, Checkpoints

__all__ = ["Begun", "Checkpoints"]
