"""How fast logs are scanned, beside ripgrep and GNU grep with the same patterns."""
