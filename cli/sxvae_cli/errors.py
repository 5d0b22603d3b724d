"""What becomes of errors, for the commands to say."""

# Whether --debug asks for tracebacks.
debug_wanted = False


class InterruptedCommandError(Exception):
    """Ctrl-C, with what is saved and how to go on. Typer would swallow a KeyboardInterrupt."""
