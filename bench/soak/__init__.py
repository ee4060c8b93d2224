"""Random crashes under random faults, and what became of each."""
