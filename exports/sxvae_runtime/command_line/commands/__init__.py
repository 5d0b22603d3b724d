"""The commands, one a module: each is a function that Typer turns into a command line."""
