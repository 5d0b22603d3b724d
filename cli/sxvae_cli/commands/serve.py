"""sxvae serve, which is the runtime's own."""

from sxvae_runtime.command_line.commands.serve import serve as serve
