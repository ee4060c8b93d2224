"""Signed webhooks: jobs recovered, jobs given up, nodes suspected."""
