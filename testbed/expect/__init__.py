"""What a scenario expects to happen in the hours to come, told by the lab's events.

    eventually(lab, event("child-sa-established", node="rtx"), within="3h")
    never(lab, Drop, during="24h")
    always(lab, lambda record: record.event.status == 0, of=CommandEnded, during="24h")
    between(lab, "5h 37min", "5h 39min", event("child-sa-rekey-started"), count=1)

Whoever waits here is woken by events only, so hours of virtual time cost no more than what happens
in them.  A window includes both its ends.
"""

from testbed.expect.expectations import always, between, eventually, never
from testbed.expect.failures import ExpectationError
from testbed.expect.matching import Match, Wanted, event

__all__ = [
    "ExpectationError",
    "Match",
    "Wanted",
    "always",
    "between",
    "event",
    "eventually",
    "never",
]
