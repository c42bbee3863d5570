"""The clock of a lab in a guest, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def is_virtual(state: Mapping[str, Any]) -> bool:
    """Does this lab (its status) have a virtual clock?"""
    return "guest" in state and bool(state["guest"]["clock"]["virtual"])


def words(state: Mapping[str, Any]) -> str:
    """``in a guest, at 2025-01-01 03:00:00, time held``; empty for a lab on the host's kernel."""
    if "guest" not in state:
        return ""
    clock = state["guest"]["clock"]
    if not clock["virtual"]:
        return "in a guest, real time"
    return f"in a guest, at {moment(clock)}, {manner(clock)}"


def moment(clock: Mapping[str, Any]) -> str:
    """What the clock shows, to the second."""
    from testbed.moments import format_moment, from_ns

    return format_moment(from_ns(int(clock["now_ns"])).replace(microsecond=0))


def exact(clock: Mapping[str, Any]) -> str:
    """What the clock shows, to the microsecond (UTC, ISO 8601)."""
    from testbed.moments import from_ns

    return from_ns(int(clock["now_ns"])).isoformat()


def since_up(clock: Mapping[str, Any]) -> str:
    """How long the lab is up by its own clock, to the second."""
    return span(int(clock["now_ns"]) - int(clock["up_ns"]))


def span(nanoseconds: int) -> str:
    """A duration to the second."""
    from datetime import timedelta

    from testbed.moments import format_duration

    return format_duration(timedelta(seconds=round(nanoseconds / 1e9)))


def manner(clock: Mapping[str, Any]) -> str:
    """Does time move?"""
    if not clock["virtual"]:
        return "time is real"
    if clock["held"]:
        return "time held"
    speed = clock["speed"]
    if speed is None:
        return "time moving"
    return "time running" if speed == 1 else f"time running, {speed:g} times as fast as here"
