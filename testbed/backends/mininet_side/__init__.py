"""The Mininet side of a lab: a process under Debian's Python, which has the ``mininet`` package.

It is a child of the lab's first process, in the lab's network and process namespaces and a file
view of its own.  It holds a real ``mininet.net.Mininet``: the nodes are Mininet's, and so is the
``mininet>`` prompt.  Of ours it loads only what needs nothing beyond the standard library.
"""
