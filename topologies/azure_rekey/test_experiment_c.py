"""Experiment C: 36 hours at the RTX, so that Azure is always first."""

from __future__ import annotations

from testbed.scenarios.evidence import Evidence
from topologies.azure_rekey.ends import Lifetimes
from topologies.azure_rekey.experiment import experiment, require_rekeys_met
from topologies.azure_rekey.needed import MARKS
from topologies.azure_rekey.run import BringUp

pytestmark = MARKS


def test_azure_renews_at_95_percent(fresh_lab: BringUp, evidence: Evidence) -> None:
    """24 hours with 129600/129600 s: Azure starts every rekey and deletes the old SA at once."""
    lifetimes = Lifetimes(child=129_600, ike=129_600)
    compared = experiment("C", lifetimes, 24, fresh_lab, evidence)
    require_rekeys_met(compared)
    for one in compared:
        assert not one.needs_keeper, one
        assert one.verdict in {"met", "close"}, one
