"""What can be wrong with a topology, a file by subject; :mod:`testbed.model.validate` runs all."""
