"""ajrd: autonomous job recovery for Slurm."""

__version__ = "0.1.0"
