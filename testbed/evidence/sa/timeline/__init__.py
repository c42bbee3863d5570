"""SAs over time as a picture."""

from testbed.evidence.sa.timeline.drawing import Mark, draw_timeline

__all__ = ["Mark", "draw_timeline"]
