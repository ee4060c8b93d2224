"""The demo: ajrd on a private Slurm, from the crash of a job to its return, with times."""
