"""What pages, lists and open event streams cost on a long history."""
