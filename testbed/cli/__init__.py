"""The ``testbed`` command: what a person types, and what is printed back.

Results go to stdout; progress, notes and errors to stderr.  Each file holds the commands of one
subject and imports what they need only when they run, so that starting is quick.
"""
