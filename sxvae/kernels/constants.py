"""Numbers that compiled functions and their callers share; importing them does not import Numba."""

# The distribution families whose samples `gradients.differentiate` differentiates.
VON_MISES_FISHER, POWER_SPHERICAL = 0, 1
# A vector is not divided by less than this, as in torch.nn.functional.normalize.
SMALLEST_NORM = 1e-12
# A trained posterior's concentration stays above this: near 0 it has no direction to learn.
CONCENTRATION_FLOOR = 1.0
# Above it float64 has no room for a formula's powers of the concentration.
LARGEST_CONCENTRATION = 1e100
