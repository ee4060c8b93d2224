"""How long a recovery takes, stage by stage, beside the plain commands of Slurm."""
