"""What every backend must do: each test runs on each of them, in labs of the same topologies."""
