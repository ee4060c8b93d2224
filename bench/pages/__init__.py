"""How long the server takes for pages over a long history."""
