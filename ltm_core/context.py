"""The circumstances of a fact, in seven drawers; whatever fits none of them goes into `custom`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict


class _Drawer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class TemporalContext(_Drawer):
    """When: a time, or times that come again ("in the morning", "on weekends", "in winter")."""

    timestamp: datetime | None = None
    time_of_day: str | None = None
    day_of_week: str | None = None
    month: str | None = None
    season: str | None = None
    is_weekend: bool | None = None
    is_holiday: bool | None = None
    timezone: str | None = None


class SpatialContext(_Drawer):
    """Where. `coordinates` are latitude and longitude in degrees."""

    location: str | None = None
    coordinates: tuple[float, float] | None = None
    venue: str | None = None
    city: str | None = None
    country: str | None = None
    is_home: bool | None = None
    is_work: bool | None = None
    is_traveling: bool | None = None


class SocialContext(_Drawer):
    """With whom, and in which manner."""

    participants: tuple[str, ...] = ()
    conversation_id: str | None = None
    relationship_type: str | None = None
    group_size: int | None = None
    mood: str | None = None
    formality: str | None = None


class EnvironmentalContext(_Drawer):
    """What it is like around. `temperature` is in degrees Celsius, `humidity` in percent."""

    weather: str | None = None
    temperature: float | None = None
    humidity: float | None = None
    noise_level: str | None = None
    device_type: str | None = None
    platform: str | None = None
    network_quality: str | None = None


class EmotionalContext(_Drawer):
    """How somebody feels."""

    mood: str | None = None
    energy_level: str | None = None
    stress_level: str | None = None
    focus_level: str | None = None
    motivation: str | None = None


class TechnicalContext(_Drawer):
    """With which tool, on which system."""

    tool_name: str | None = None
    tool_version: str | None = None
    api_version: str | None = None
    system_info: str | None = None
    browser: str | None = None
    os: str | None = None
    device: str | None = None


class Context(_Drawer):
    """All circumstances of a fact.

    >>> Context(temporal=TemporalContext(time_of_day="morning")).told()
    {'temporal': {'time_of_day': 'morning'}}
    """

    temporal: TemporalContext | None = None
    spatial: SpatialContext | None = None
    social: SocialContext | None = None
    environmental: EnvironmentalContext | None = None
    emotional: EmotionalContext | None = None
    technical: TechnicalContext | None = None
    custom: dict[str, Any] | None = None

    def told(self) -> dict[str, Any]:
        """What is said, as JSON data."""
        return self.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
