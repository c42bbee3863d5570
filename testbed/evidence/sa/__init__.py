"""IKE_SAs and CHILD_SAs as evidence: their history, a timeline, the RTX's log, a comparison.

:func:`sa_history` makes a history of the records of a lab; everything else is drawn from it.
"""
