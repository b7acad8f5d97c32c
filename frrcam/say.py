"""How a command speaks to the person who runs it."""

from collections.abc import Callable

Say = Callable[[str], None]
"""Shows one line. `frrcam.commands.console.say` writes it to stderr; tests hand in a list's append."""
