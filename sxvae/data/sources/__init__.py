"""The sources of data sets, one family in each file; `sxvae.data.registry` lists them by name."""
