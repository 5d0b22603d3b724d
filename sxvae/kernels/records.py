"""The records of `posterior.draw`: what it has to know of a space, as arrays of whole numbers.

A group is the factors that share family and dimension. Its rows are one for each image and factor:
first the factors of the first image, then those of the second, and so on. Because records are data,
the compiled code is the same for all spaces.
"""

# A group's record: the family's number, the length p of a factor's vector, the number of its
# factors and the index of the first among the factors' records. Then how many numbers of noise and
# of work an image takes for it, and for the groups before it. Then its quadrature's first node and
# the number of nodes.
FAMILY, AMBIENT, FACTORS, FIRST = 0, 1, 2, 3
NOISE, NOISE_BEFORE, WORK, WORK_BEFORE = 4, 5, 6, 7
NODE, NODES = 8, 9
GROUP_FIELDS = 10

# A factor's record: where its coordinates begin, in a latent vector and among the head's outputs;
# its column in the KL; and the head's output that becomes its concentration, or the first of those
# that become its scale.
OFFSET, COLUMN, PARAMETER = 0, 1, 2

# The numbers that are kept of each row on a sphere beside two vectors in R^p: the concentration,
# 1 - t, 1 + t, and the three moments of `partition_table.interpolate`.
SPHERE_NUMBERS = 6
