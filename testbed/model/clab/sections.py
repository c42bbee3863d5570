"""What the sections of a containerlab file say: nodes, groups, kinds and defaults.

Every key that containerlab knows is either understood or left out with its reason; any other is a
mistake.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from testbed.errors import Place, Problem
from testbed.model.checks.suggest import did_you_mean
from testbed.model.clab.left_out import CODE
from testbed.model.clab.words import STAY
from testbed.model.shapes import ListOf, MapOf, Reader, Text, Unreadable
from testbed.model.tree import Entries, Entry, Leaf

_OWN_FORMAT = "the testbed's own format says this elsewhere: remove it here"
_MANAGEMENT = "a lab has no management network; nodes are entered with testbed shell"
_PROGRAM = "nothing of the image's own is started; what a node runs is a service in our own format"
_CONTAINER = "a node is no container of containerlab's"
_NOT_LINUX = "it means nothing to a plain Linux node"

_REASONS = {
    _MANAGEMENT: "mgmt mgmt-ipv4 mgmt-ipv6 prefix ports dns aliases",
    _PROGRAM: "cmd entrypoint env env-files user healthcheck stages startup-delay restart-policy "
    "auto-remove",
    _CONTAINER: "image-pull-policy runtime cpu memory cpu-set shm-size cap-add privileged "
    "cgroupns-mode cgroup-parent pid-mode tmpfs security-opts devices volumes hostname settings "
    "debug link-apply-mode",
    _NOT_LINUX: "license type startup-config enforce-startup-config suppress-startup-config "
    "credentials extras config certificate components",
}
_LEFT_OUT = {key: reason for reason, keys in _REASONS.items() for key in keys.split()}
_TOP_LEFT = ("prefix", "mgmt", "settings", "debug")
TOP_KEYS = ("name", "topology")
TOPOLOGY_KEYS = ("nodes", "links", "kinds", "groups", "defaults")
_NODE_KEYS = (*("kind", "image", "exec", "sysctls", "group", "labels", "binds", "network-mode"),)


@dataclass(frozen=True, slots=True)
class Said:
    """A text of the file and where it stands."""

    text: str
    place: Place | None = None


@dataclass(slots=True)
class Section:
    """What a node, group, kind or the defaults say."""

    kind: str | None = None
    image: Said | None = None
    group: str | None = None
    network: Said | None = None
    commands: list[Said] = field(default_factory=list)
    binds: list[Said] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)


def _is_idle(entry: Entry) -> bool:
    """True for a program that does nothing but keep its container, which a node needs not."""
    value = entry.value.value if isinstance(entry.value, Leaf) else None
    return entry.key in ("cmd", "entrypoint") and value in (STAY, "tail -f /dev/null")


class SectionReader:
    """Reads sections, each once; collects what is left out."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.left: list[Problem] = []
        self._sections: dict[str, Section] = {}

    def leave_out(
        self,
        what: str,
        path: str,
        place: Place | None = None,
        hint: str | None = None,
        code: str = CODE,
    ) -> None:
        """Remember something that is not in the lab."""
        self.left.append(Problem(code, what, path, place, hint))

    def read(self, entry: Entry, path: str) -> Section:
        """The section, empty where it cannot be read (which was reported)."""
        if path not in self._sections:
            self._sections[path] = self._read(entry, path)
        return self._sections[path]

    def check_keys(self, entries: Entries, known: tuple[str, ...], path: str) -> None:
        """Leave out what has no meaning here; a key that is not containerlab's is a mistake."""
        for entry in entries.entries:
            if entry.key in known or _is_idle(entry):
                continue
            left = _TOP_LEFT if known == TOP_KEYS else () if known == TOPOLOGY_KEYS else _LEFT_OUT
            below = f"{path}.{entry.key}" if path else entry.key
            if entry.key in left:
                self.leave_out(f"{entry.key}: {_LEFT_OUT[entry.key]}", below, entry.place)
                continue
            what = f"{entry.key!r} of containerlab is not understood here"
            near = did_you_mean(entry.key, (*known, *left), "keys")
            hint = near if near.startswith("did") else _OWN_FORMAT
            self.reader.problem("clab-not-understood", what, path, entry.place, hint)

    def text(self, entries: Entries, key: str, path: str, *, required: bool = False) -> Said | None:
        """The text of that key; None when there is none (reported when it is required)."""
        entry = entries.get(key)
        below = f"{path}.{key}" if path else key
        if entry is None:
            if required:
                what = f"the key {key!r} is missing"
                self.reader.problem("missing-key", what, path, entries.place)
            return None
        self.reader.see(below, entry.value.place)
        try:
            return Said(Text().read(entry.value, below, self.reader), entry.place)
        except Unreadable:
            return None

    def _read(self, entry: Entry, path: str) -> Section:
        tree = entry.value
        if isinstance(tree, Leaf) and tree.value is None:
            return Section()
        if not isinstance(tree, Entries):
            self.reader.wrong_type("a mapping", tree, path)
            return Section()
        self.check_keys(tree, _NODE_KEYS, path)
        kind, group = (self.text(tree, key, path) for key in ("kind", "group"))
        return Section(
            kind=kind.text if kind else None,
            image=self.text(tree, "image", path),
            group=group.text if group else None,
            network=self.text(tree, "network-mode", path),
            commands=self._list(tree, "exec", path),
            binds=self._list(tree, "binds", path),
            settings=self._pairs(tree, "sysctls", path),
            labels=self._pairs(tree, "labels", path),
        )

    def _list(self, tree: Entries, key: str, path: str) -> list[Said]:
        entry = tree.get(key)
        if entry is None:
            return []
        try:
            ListOf(Text()).read(entry.value, f"{path}.{key}", self.reader)
        except Unreadable:
            return []
        items = getattr(entry.value, "items", ())
        return [
            Said(item.value, item.place)
            for item in items
            if isinstance(item, Leaf) and isinstance(item.value, str)
        ]

    def _pairs(self, tree: Entries, key: str, path: str) -> dict[str, str]:
        entry = tree.get(key)
        if entry is None:
            return {}
        try:
            return dict(MapOf(Text(numbers=True)).read(entry.value, f"{path}.{key}", self.reader))
        except Unreadable:
            return {}
