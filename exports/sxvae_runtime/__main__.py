"""`python -m sxvae_runtime`, the same as the command `sxvae-runtime`."""

from sxvae_runtime.command_line.main import main

if __name__ == "__main__":
    main()
