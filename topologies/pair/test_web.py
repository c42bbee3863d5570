"""What one does with a lab, in two scenarios."""

import pytest

from testbed.scenarios.evidence import Evidence
from testbed.scenarios.scenario_lab import ScenarioLab

pytestmark = pytest.mark.needs("curl")


def test_the_page_comes(lab: ScenarioLab, evidence: Evidence) -> None:
    """The client gets a page from the server."""
    page = lab.run("client", ["curl", "-sS", "http://198.51.100.80/"], check=True)
    evidence.text("The page", page.stdout)
    assert "Directory listing" in page.stdout


def test_nothing_comes_over_a_cut_cable(lab: ScenarioLab) -> None:
    """With the cable out the page does not come; with the cable back it does."""
    ask = ["curl", "-sS", "--max-time", "2", "-o", "/dev/null", "http://198.51.100.80/"]
    lab.cut("outside")
    assert not lab.run("client", ask).ok
    lab.restore("outside")
    assert lab.run("client", ask).ok
