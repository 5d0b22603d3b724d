"""sxvae verify, which is the runtime's own."""

from sxvae_runtime.command_line.commands.verify import verify as verify
