"""What can go wrong with a lab."""


class LabError(Exception):
    """The message says what failed, and which log to read."""
