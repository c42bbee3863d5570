"""What every scenario of this topology needs."""

from __future__ import annotations

import pytest

from testbed.peers.frr.service import NEEDS

MARKS = [
    pytest.mark.needs(*NEEDS, "ping", "tshark"),
    pytest.mark.capture(off=True),  # those that look at the wire make one of their own
]
