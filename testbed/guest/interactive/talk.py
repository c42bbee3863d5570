"""What keeper and agent say to each other: a JSON object and, behind it, raw bytes.

Each is one message of the host link.  The agent may speak at any time.  The keeper speaks only when
the agent *rests*, which it announces:

``{"rest": "hold"}``
    nobody needs time: it comes back when somebody wants something, and time stands still;
``{"rest": "poll"}``
    it goes on at once with what there is;
``{"rest": "pace"}``
    time has run ahead of the wall clock and waits for it.

The keeper ends every answer with ``{"go": true}``.  When it has something to say to an agent that
does not rest, it rings (the guest's Ctrl-Alt-Del), and the agent polls.
"""

from __future__ import annotations

import json
from typing import Any

HOLD, POLL, PACE = "hold", "poll", "pace"

Message = dict[str, Any]


def pack(message: Message, data: bytes = b"") -> bytes:
    """As the host link carries it."""
    return json.dumps(message).encode() + b"\n" + data  # JSON escapes line ends


def unpack(content: bytes) -> tuple[Message, bytes]:
    """The inverse of :func:`pack`."""
    head, _, data = content.partition(b"\n")
    message = json.loads(head)
    assert isinstance(message, dict)
    return message, data
