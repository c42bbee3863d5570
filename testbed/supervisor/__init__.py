"""The process that *is* a lab: pid 1 of the lab's own pid namespace.

It builds the network, runs the services, answers requests, and when it ends - asked to, or because
its owner is gone, or by ``kill -9`` - the kernel ends every process and namespace of the lab.
"""
