"""Labs on the host's kernel, and the guest's for what only virtual time can show."""

from tests.guest.conftest import kernel as kernel  # noqa: PLC0414  # fixtures are found by name
from tests.lab.conftest import up as up  # noqa: PLC0414
