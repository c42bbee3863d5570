"""The guest: a Linux kernel of our own that runs as a program, with a real or a virtual clock.

``kernel_*`` find, build and keep that kernel; ``machine``, ``boot`` and ``link`` start it and run a
command in it; ``inside`` and ``furnish`` are what runs inside.
"""
