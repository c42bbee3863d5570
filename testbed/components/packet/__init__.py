"""Packets as bytes: checksums, headers, fragments, ICMP errors, encapsulation, names.

Strict and quick rather than rich: functions read and write fields of ``bytes`` and ``bytearray`` in
place.  Bad bytes raise :class:`~testbed.components.packet.errors.MalformedPacketError` and nothing
else.
"""
