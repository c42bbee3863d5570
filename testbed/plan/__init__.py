"""What must be done: a pure function from a topology to ordered operations."""

from testbed.plan.operations import Plan
from testbed.plan.planner import make_plan

__all__ = ["Plan", "make_plan"]
