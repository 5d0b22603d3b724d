"""Numbers that compiled functions and their callers share; importing them does not import Numba."""

# The families whose samples `posterior.draw` draws. Those of the first two have cosines that
# `gradients.differentiate` differentiates.
VON_MISES_FISHER, POWER_SPHERICAL, SPHERICAL_CAUCHY = 0, 1, 2
NORMAL_SINGLE, NORMAL_DIAGONAL, NORMAL_FULL = 3, 4, 5
# A vector is not divided by less than this, as in torch.nn.functional.normalize.
SMALLEST_NORM = 1e-12
# A trained posterior's concentration stays above this: near 0 it has no direction to learn.
CONCENTRATION_FLOOR = 1.0
# The standard deviations of normal posteriors stay above this, so that their density is bounded.
SCALE_FLOOR = 1e-4
# Above it float64 has no room for a formula's powers of the concentration.
LARGEST_CONCENTRATION = 1e100
