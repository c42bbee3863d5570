"""Telling users of a lab that something has happened, so that nobody has to look again and again.

Every look costs a wakeup, and under a virtual clock wakeups are all that hours cost.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress

from testbed.errors import LabError
from testbed.events import Record
from testbed.kernel.channel import Channel, ChannelClosedError
from testbed.supervisor.journal import Journal


async def serve(channel: Channel, journal: Journal) -> None:
    """Send ``{"news": true}`` for every event that was written, until the other side goes away.

    Somebody who does not read is not waited for: what lies unread in the channel is news enough.
    """
    loop = asyncio.get_running_loop()
    gone: asyncio.Future[None] = loop.create_future()

    def tell(_record: Record) -> None:
        with suppress(ChannelClosedError):
            channel.send({"news": True})

    def hear() -> None:
        try:
            _, unwanted = channel.receive()
            for descriptor in unwanted:
                os.close(descriptor)
        except LabError:
            loop.remove_reader(channel)
            if not gone.done():
                gone.set_result(None)

    forget = journal.listen(tell)
    try:
        channel.send({"ok": True})
        loop.add_reader(channel, hear)
        await gone
    finally:
        loop.remove_reader(channel)
        forget()
