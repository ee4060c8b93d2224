"""``ajrd completion bash|zsh|fish``: what a shell needs to complete commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from ajrd.cli.main import cli

_VARIABLE = "_AJRD_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion of a shell.

    For bash: ajrd completion bash >/etc/bash_completion.d/ajrd; for zsh a file _ajrd in a folder of
    fpath; for fish a file in ~/.config/fish/completions.
    """
    kind = get_completion_class(shell)
    assert kind is not None
    words = kind(cli, {}, "ajrd", _VARIABLE)
    click.echo(kind.source_template % words.source_vars())
