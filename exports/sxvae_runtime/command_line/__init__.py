"""The command `sxvae-runtime`, whose parts `sxvae` uses too. Needs the extra `serve`."""

NAME = "sxvae-runtime"
