"""When an SA is rekeyed, and by whom: "the shorter of the two ends decides".  Pure.

An SA's lifetime is not negotiated in IKEv2: each end keeps its own, and starts a rekey at a moment
of its own (RFC 7296 section 2.8).  Whoever comes first has renewed the SA for both, and both begin
to count anew with the new one.  So an end whose moment is later never gets to it, and the interval
is the smaller of the two moments: with ``s`` an end's share of its lifetime ``L`` at which it
rekeys (an RTX 75 %, Azure 95 %),

    interval = min(s_rtx * L_rtx, s_azure * L_azure)

YAMAHA's manual warns of it, too: a peer that is earlier makes the interval shorter than configured.
The blog of seed 004 found it out with 129600 s: 36 hours were configured, and the tunnel was
renewed every 7 hours.  It is not the shorter *lifetime* that decides but the earlier moment: an RTX
with 28800 s (21600 s) comes before Azure with 27000 s (25650 s).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from testbed.peers.ike import Lifetime

First = Literal["rtx", "azure", "either", "nobody"]


@dataclass(frozen=True, slots=True)
class Prediction:
    """A rekey comes between ``earliest_s`` and ``latest_s`` after the SA was made, by ``first``."""

    first: First
    earliest_s: int
    latest_s: int

    def agrees(self, seconds: float, slack_s: float) -> bool:
        """Is an interval as predicted, give or take?"""
        return self.earliest_s - slack_s <= seconds <= self.latest_s + slack_s


def predict(rtx: Lifetime, azure: Lifetime) -> Prediction:
    """The interval between two rekeys of an SA whose ends have these lifetimes.

    An end draws its moment evenly from a range, so the smaller of two draws lies between the
    smaller of the two beginnings and the smaller of the two ends of the ranges.
    """
    if not rtx.rekey_s and not azure.rekey_s:
        return Prediction("nobody", 0, 0)
    if not azure.rekey_s or (rtx.rekey_s and rtx.rekey_s < _earliest(azure)):
        return Prediction("rtx", _earliest(rtx), rtx.rekey_s)
    if not rtx.rekey_s or azure.rekey_s < _earliest(rtx):
        return Prediction("azure", _earliest(azure), azure.rekey_s)
    return Prediction(
        "either", min(_earliest(rtx), _earliest(azure)), min(rtx.rekey_s, azure.rekey_s)
    )


def _earliest(lifetime: Lifetime) -> int:
    return lifetime.rekey_s - lifetime.spread_s
