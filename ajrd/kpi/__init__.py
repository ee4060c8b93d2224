"""What failures cost and what recovery saves: pure arithmetic on attempts."""
