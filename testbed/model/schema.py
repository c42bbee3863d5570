"""The published JSON Schema of topology files, made from the declaration in the codec.

``python -m testbed.model.schema`` writes it to ``topology.schema.json`` beside this file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from testbed.model.codec import TOPOLOGY

PUBLISHED = Path(__file__).with_name("topology.schema.json")


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a topology file; what only the model's checks know is not in it."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:testbed:topology",
        "title": "testbed topology",
    } | TOPOLOGY.schema()


def schema_text() -> str:
    """The text of the published file."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PUBLISHED.write_text(schema_text(), encoding="utf-8")
