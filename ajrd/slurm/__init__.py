"""What Slurm says about jobs, and what ajrd makes it do."""
