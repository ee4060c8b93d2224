"""What reading from Loki costs and brings."""
