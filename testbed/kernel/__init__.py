"""Doing things to the Linux kernel: netlink, namespaces, tc, nft, capture.  No policy here."""
