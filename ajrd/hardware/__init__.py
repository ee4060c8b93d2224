"""Hand-off of suspected nodes: draining, and a hardware-recovery service."""
