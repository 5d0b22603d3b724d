"""Numbers that kernels and their callers share. Needs no Numba."""

# The families' numbers among the compiled functions.
VON_MISES_FISHER, POWER_SPHERICAL = 0, 1
# A vector is not divided by less than this, as in torch.nn.functional.normalize.
SMALLEST_NORM = 1e-12
