"""What the guest kernel is made from: Debian's source package, our configuration, our patches."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from testbed.guest.errors import GuestKernelError

SOURCE_PACKAGE = "linux-source-6.12"
"""Debian's package; in bookworm-security and in trixie."""

FOLDER = Path(__file__).parents[2] / "images" / "guest-kernel"

_SET = re.compile(r"(CONFIG_\w+)=(.+)")
_NOT_SET = re.compile(r"# (CONFIG_\w+) is not set")


def read_symbols(text: str) -> dict[str, str]:
    """The symbols of a kernel configuration and their values; ``n`` for what is not set."""
    symbols = {}
    for line in text.splitlines():
        if found := _SET.fullmatch(line.strip()):
            symbols[found[1]] = found[2]
        elif found := _NOT_SET.fullmatch(line.strip()):
            symbols[found[1]] = "n"
    return symbols


@dataclass(frozen=True, slots=True)
class Recipe:
    """The configuration's text, and the patches in order: file name and text."""

    package: str
    config: str
    patches: tuple[tuple[str, str], ...]

    @classmethod
    def load(cls, folder: Path = FOLDER) -> Recipe:
        """Read ``config`` and ``patches/*.patch``.

        Raises:
            GuestKernelError: they cannot be read.
        """
        try:
            config = (folder / "config").read_text(encoding="utf-8")
            files = sorted((folder / "patches").glob("*.patch"))
            patches = tuple((file.name, file.read_text(encoding="utf-8")) for file in files)
        except OSError as error:
            raise GuestKernelError(
                f"the recipe of the guest kernel cannot be read: {error.strerror}",
                where=str(folder),
                hint="run testbed from a complete checkout of its repository",
            ) from error
        return cls(SOURCE_PACKAGE, config, patches)

    @property
    def symbols(self) -> dict[str, str]:
        """What the configuration asks for; comments and order do not matter."""
        return read_symbols(self.config)

    def missing_from(self, final: str) -> list[str]:
        """What the build's final configuration does not have as this recipe asks for it."""
        got = read_symbols(final)
        return [
            f"{name} is {got.get(name, 'n')}, not {value}"
            for name, value in self.symbols.items()
            if got.get(name, "n") != value
        ]
