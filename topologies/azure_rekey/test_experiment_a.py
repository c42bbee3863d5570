"""Experiment A: the RTX's CHILD_SA lifetime is set to Azure's, 27000 s; IKE_SAs have 28800 s."""

from __future__ import annotations

from testbed.scenarios.evidence import Evidence
from topologies.azure_rekey.ends import Lifetimes
from topologies.azure_rekey.experiment import experiment, require_rekeys_met
from topologies.azure_rekey.needed import MARKS
from topologies.azure_rekey.run import BringUp

pytestmark = MARKS


def test_the_rtx_renews_at_75_percent_for_two_days(fresh_lab: BringUp, evidence: Evidence) -> None:
    """48 hours with 27000/28800 s: the RTX starts every rekey, and not a packet is lost."""
    lifetimes = Lifetimes(child=27_000, ike=28_800)
    compared = experiment("A", lifetimes, 48, fresh_lab, evidence)
    require_rekeys_met(compared)
    # The RTX keeps what it has replaced until Azure deletes it; strongSwan deletes it at once.
    assert all(one.needs_keeper for one in compared if one.expected.what == "delete")
