"""From the bytes of a log, and from Slurm's end states, to anomalies and one verdict. Pure."""
