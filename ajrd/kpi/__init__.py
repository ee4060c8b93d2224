"""What the time of an attempt was spent on, and what its recovery was worth. Pure."""
