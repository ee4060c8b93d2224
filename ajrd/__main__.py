"""``python -m ajrd``: the same as the command ``ajrd``."""

from ajrd.cli.main import main

main()
