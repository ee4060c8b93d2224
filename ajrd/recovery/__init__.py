"""Attempts, the reconcile loop, and what is done to Slurm."""
