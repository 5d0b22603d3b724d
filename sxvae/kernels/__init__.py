"""Every function that Numba compiles for the CPU, and where the compiled code is kept.

The modules import NumPy, Numba and one another, and no other part of sxvae. Import those of the
first two groups where a compiled function is called: importing Numba takes half a second.

Samples and their gradients:
    random_bits: the random numbers of all compiled functions, SplitMix64.
    wood: the cosine between a von Mises-Fisher sample and its mean direction.
    placement: a sample from its cosine, its mean direction and a tangent direction.
    partition_table: KL to the uniform distribution, E[-s] and Var[s] of the exponential family.
    quadrature: what the derivatives of both families integrate with.
    von_mises_fisher, power_spherical: how a sample's cosine moves with the concentration.
    gradients: gradients of samples with respect to mean directions and concentrations.

Whole steps of a training:
    posterior: from the posterior head's outputs to samples and KL, and back.
    binarization: binary images drawn from grey ones.

Without Numba (imported at no cost):
    constants: numbers that compiled functions and their callers share.
    availability: whether compiled functions can run here.

The compiler:
    compiler: the decorator of every compiled function.
    cache: keeps the compiled code in the user's cache folder.
    leftovers: removes what earlier versions kept beside the sources.
    remarks: says once that Numba or the cache is not as it should be.
"""
