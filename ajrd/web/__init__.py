"""HTTP: pages, API, live events and metrics. Reads the store; writes nothing but requests."""
