"""A lab that is up in a guest, for people: any command works on it, and its time waits for them.

The *keeper* is a process on the host.  It owns the guest and the lab's name, and speaks the lab's
own protocol (:mod:`testbed.supervisor.channel`) with whoever comes, so every command and
:class:`testbed.lab.Lab` work on such a lab unchanged.  The *agent* lives inside the guest; it has
brought the lab up, hands requests on to it, and carries what commands read and write.  It also
decides when a virtual clock moves: only while somebody's request needs it.

``bring_up`` starts both; ``keeper``, ``visitor``, ``descriptors`` and ``guest_talk`` are the host's
side, ``agent``, ``visit``, ``streams``, ``waiting``, ``tracer`` and ``hours`` the guest's; ``talk``
is what they say to each other.
"""
