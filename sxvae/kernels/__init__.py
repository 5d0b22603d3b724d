"""Every function that Numba compiles for the CPU. Nothing here imports another part of sxvae."""
