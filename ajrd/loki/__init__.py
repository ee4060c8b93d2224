"""Logs that compute nodes ship to Grafana Loki: tail for speed, sweep for truth."""
