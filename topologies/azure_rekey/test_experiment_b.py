"""Experiment B: the RTX has its defaults, 28800 s for both."""

from __future__ import annotations

from testbed.scenarios.evidence import Evidence
from topologies.azure_rekey.ends import RTX_DEFAULT
from topologies.azure_rekey.experiment import experiment, require_rekeys_met
from topologies.azure_rekey.needed import MARKS
from topologies.azure_rekey.run import BringUp

pytestmark = MARKS


def test_both_rekeys_within_seconds_of_each_other(fresh_lab: BringUp, evidence: Evidence) -> None:
    """24 hours with 28800/28800 s: IKE_SA and CHILD_SA are renewed at nearly the same time."""
    compared = experiment("B", RTX_DEFAULT, 24, fresh_lab, evidence)
    require_rekeys_met(compared)
    assert all(one.needs_keeper for one in compared if one.expected.what == "delete")
