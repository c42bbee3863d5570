"""What stands between pytest and the labs: labs for tests, their evidence, their verdicts."""
