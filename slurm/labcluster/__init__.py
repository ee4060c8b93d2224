"""A private, real Slurm on one host for the demo, the tests and the benchmarks.

It lives in a directory of its own and on ports of its own, so several can run beside each other
and beside the site's Slurm. Standard library only: it must work before anything is installed.
"""
