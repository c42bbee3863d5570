"""Runs that repeat to the byte: what a run was made of, its hash, and doing it again.

A run in a guest with a virtual clock is a function of its sources, its seed and the guest kernel
(docs/determinism.md).  ``sources`` and ``view`` keep the host out of it, ``recipe`` writes down
what
it was made of, ``history`` hashes what happened, ``again`` does it again and ``difference`` finds
where two runs part.
"""
