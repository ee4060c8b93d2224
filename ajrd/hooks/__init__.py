"""Messages of the hooks that Slurm runs: starts, ends, and what a node's kernel said."""
