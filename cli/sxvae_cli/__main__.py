"""`python -m sxvae_cli`."""

from sxvae_cli.main import main

if __name__ == "__main__":
    main()
