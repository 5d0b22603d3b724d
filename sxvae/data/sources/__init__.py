"""The families of image sources, one a file; `sxvae.data.registry` names them."""
