"""Conversations: their messages, their summaries and their state."""

from .conversations import Sessions

__all__ = ["Sessions"]
