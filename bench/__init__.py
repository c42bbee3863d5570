"""Side-by-side figures against peers, all measured in the same run: ``make bench``."""
