"""What should happen to a job and why: pure functions, no I/O, no clock."""
