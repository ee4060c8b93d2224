"""The steps of a setup. Each looks and gives what it would change; () is: nothing to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from ajrd.setup.making import Change, Work
from ajrd.setup.steps import configuration, database, hooks, people, places, slurm, units

Step = Callable[[Work], Iterator[Change]]

#: In the order in which they are done: each may rely on those before it.
STEPS: Mapping[str, Step] = {
    "home": places.home,
    "user": people.user,
    "folders": places.folders,
    "credentials": places.credentials,
    "database": database.database,
    "tables": database.tables,
    "reader": database.reader,
    "configuration": configuration.config,
    "units": units.units,
    "slurm": slurm.rights,
    "hooks": hooks.hooks,
    "answers": configuration.answers,
    "start": units.start,
}
