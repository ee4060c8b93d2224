"""Log files: finding them, reading them as their owner, handing what was found to a sink."""
