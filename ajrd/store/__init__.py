"""The history: what ajrd saw, decided, did and found out, in SQLite or MySQL."""
