"""The command line of sxvae."""
