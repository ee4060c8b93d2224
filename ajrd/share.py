"""Files that ajrd brings along besides its code: units, hooks, examples, verification jobs.

They are named as they lie in the source tree: ``path("systemd/ajrd.service")``,
``path("slurm/hooks")``. A wheel carries them in ``ajrd/share``; a clone, and what was installed
from one with ``pip install --editable``, has them beside the package.
"""

from __future__ import annotations

from pathlib import Path

from ajrd.errors import ConfigError

_PACKAGE = Path(__file__).resolve().parent


def path(name: str) -> Path:
    """The file or folder of that name; raises ConfigError if this installation lacks it."""
    for root in (_PACKAGE / "share", _PACKAGE.parent):
        if (root / name).exists():
            return root / name
    raise ConfigError(f"{name} is missing in {_PACKAGE / 'share'}: ajrd is not wholly installed")
