"""Benchmarks: each prints ratios from one run, beside the peer that it is measured against."""
