"""Plain data as YAML text that every YAML reads as the same data."""

from __future__ import annotations

from typing import Any

import yaml

from testbed.model.tree import plain_scalar

_LONG = 400  # no plain number is longer (see plain_scalar)
_SHORT_LIST = 60  # columns up to which a list of texts stays on one line


def yaml_text(data: Any) -> str:
    """Dicts, lists and scalars as YAML, in their order; text of several lines as blocks."""
    text: str = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    return text


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as a block, and quotes what *any* YAML reads as no text."""

    def ignore_aliases(self, data: object) -> bool:
        """Equal parts are written twice rather than with anchors."""
        del data
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None
    if not all(character.isprintable() or character == "\n" for character in text):
        style = '"'  # escapes what PyYAML would write as a line break and read as a blank
    elif len(text) < _LONG and not isinstance(plain_scalar(text), str):
        style = '"'  # a number or the like by YAML 1.2, whatever YAML 1.1 thinks
    elif "\n" in text and not text[0].isspace():
        style = "|"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _represent_list(dumper: yaml.SafeDumper, items: list[object]) -> yaml.SequenceNode:
    texts = [item for item in items if isinstance(item, str) and "\n" not in item]
    short = len(texts) == len(items) and sum(len(text) + 4 for text in texts) <= _SHORT_LIST
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=short)


_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(list, _represent_list)
