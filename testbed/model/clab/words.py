"""What an exported containerlab file and its reader agree on: labels, and how text is escaped.

Labels hold what containerlab has no place for and need not act on: names, remarks, a role.  Before
it reads a file as YAML, containerlab runs it through Go's text/template and then replaces
environment variables, so both must be kept from text that only looks like theirs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from testbed.model.tree import Entries, Entry, Items, Leaf, Tree, plain_scalar

ROLE = "testbed.role"  # host, router or switch; marks a node that we have written
NAME = "testbed.name"  # a node's name, where containerlab cannot have it
NOTE = "testbed.note"
IMAGE = "testbed.image"  # an image of our own by its short name
BACKEND = "testbed.backend"
INSIDE = "testbed.switch"  # a switch that is a Linux bridge because somebody said so
LINK = "testbed.link"  # the name of a link, at its cable
SEGMENT = "testbed.segment"  # the name of a LAN segment, at the node that is its bridge
TITLE = "testbed.title"  # of the lab, in the defaults of all nodes
SEED = "testbed.seed"

BRIDGE = "br0"  # as our own switches call theirs
SEPARATOR = "|"  # containerlab: BRIDGE|NODE is a bridge in the namespace of NODE
SPECIAL_NODES = ("host", "mgmt-net", "macvlan")  # of containerlab's links, no names for nodes
NFT_FILE = "/etc/testbed.nft"  # where an exported node has its firewall

# Every lab of ours is so (testbed.plan); a container is not.
COMMON_SETTINGS = {
    "net.ipv6.conf.default.accept_dad": "0",
    "net.ipv6.conf.default.accept_ra": "0",
    "net.ipv6.conf.default.router_solicitations": "0",
    "net.ipv4.conf.all.rp_filter": "0",
    "net.ipv4.conf.default.rp_filter": "0",
}
FORWARD_4, FORWARD_6 = "net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"
STAY = "sleep infinity"  # a container lasts as long as its first process, whatever its image runs
SWITCHES_ONLY = "sysctl -w net.ipv6.conf.all.disable_ipv6=1"

_ACTION = "{{`{{`}}"  # the template that prints what begins a template
_VARIABLE = re.compile(
    r"\$(?:(?P<dollar>\$)"
    r"|(?P<plain>[^\W\d]\w*)"
    r"|\{(?P<name>[^\W\d]\w*)(?:(?P<how>:?[-=+])(?P<other>[^{}\n]*))?\})"
)


def escaped(text: str) -> str:
    """The file's text as containerlab must find it to read this one."""
    return text.replace("$", "$$").replace("{{", _ACTION)


def own_image(name: str) -> str:
    """What the engine calls the image that a node means by this name (as testbed.images does)."""
    return name if _qualified(name) else f"testbed/{name}:latest"


def foreign_image(name: str) -> str:
    """What a node must say to mean the image that somebody else means by this name."""
    return name if _qualified(name) else f"{name}:latest"


def _qualified(name: str) -> bool:
    """False for a short name, which to us means one of our own images."""
    return any(mark in name for mark in "/:@")


def has_template(text: str) -> bool:
    """True when Go's text/template would take part of it for an action."""
    return "{{" in text.replace(_ACTION, "")


def expanded(text: str, environment: Mapping[str, str]) -> str:
    """The text as containerlab reads it: ``$$``, ``$NAME``, ``${NAME}``, ``${NAME:-default}``.

    A variable that is not set stays as it is when it has no default.
    """

    def value(match: re.Match[str]) -> str:
        if match["dollar"]:
            return "$"
        name = match["plain"] or match["name"]
        found = environment.get(name, "")
        how, other = match["how"] or "", match["other"] or ""
        if how.endswith("+"):
            return other if found else ""
        if found:
            return found
        return other if how else f"${name}"

    return _VARIABLE.sub(value, text.replace(_ACTION, "{{"))


def expand_tree(tree: Tree, environment: Mapping[str, str]) -> Tree:
    """The tree with every text expanded; a whole value that was a variable may become a number."""
    match tree:
        case Leaf(value=str() as text) if "$" in text or "{{" in text:
            new = expanded(text, environment)
            whole = _VARIABLE.fullmatch(text) is not None and new != "$"
            return Leaf(plain_scalar(new) if whole else new, tree.place, None, tree.lost)
        case Items():
            return Items(tuple(expand_tree(item, environment) for item in tree.items), tree.place)
        case Entries():
            entries = tuple(
                Entry(
                    expanded(entry.key, environment),
                    expand_tree(entry.value, environment),
                    entry.place,
                )
                for entry in tree.entries
            )
            return Entries(entries, tree.place, tree.repeated, tree.lost)
        case _:
            return tree
