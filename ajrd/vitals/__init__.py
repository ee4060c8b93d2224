"""How the service does: what is counted where it happens, and read where it is known."""
