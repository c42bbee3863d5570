"""The process outside a lab that makes its containers and removes them when it ends.

A lab's first process is in process and mount namespaces of its own and cannot see Docker's engine;
this one stayed in the host's.  It lives exactly as long as its lab: it ends when the channel to
the lab closes, and the lab ends when it is gone.
"""
