"""Searching for rare failures: a lab over many seeds, each with small perturbations of its own.

``ranges`` says what may be disturbed and how much, ``draw`` makes of a seed a ``perturbation``
(plain data), ``apply`` puts it on a lab, ``trial`` runs one seed in a guest, ``search`` many, and
``shrink`` finds the least that still makes a lab fail.
"""
