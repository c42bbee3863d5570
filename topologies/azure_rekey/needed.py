"""What every scenario of this topology needs."""

from __future__ import annotations

import pytest

MARKS = [
    pytest.mark.needs("esp", "xfrm_interface", "virtual-time"),
    pytest.mark.needs("ping", "tshark", "swanctl", "program:charon-systemd"),
    pytest.mark.capture(off=True),  # each makes one of its own
    pytest.mark.timeout(0),  # it would count virtual time
]
