"""What a command raises when it was interrupted."""


class InterruptedCommandError(Exception):
    """Ctrl-C, with what is saved and how to go on. Typer would swallow a KeyboardInterrupt."""
