"""The uniform distribution on a hypersphere."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution

from sxvae.distributions.constraints import unit_sphere
from sxvae.distributions.geometry import Shape, log_surface_area, uniform_directions
from sxvae.distributions.precision import in_full_precision
from sxvae.distributions.transforms import can_read


class HypersphericalUniform(Distribution):
    """The uniform distribution on S^m, the unit sphere of R^(m+1).

    Its density is 1 / |S^m| everywhere, with |S^m| = 2 pi^((m+1)/2) / Gamma((m+1)/2).

    Args:
        dim: the manifold's dimension m >= 1.
        batch_shape: the shape of independent copies.
        dtype: the samples' type; torch's default type if None.
        device: the samples' device.
        validate_args: whether `log_prob` checks the support; torch.distributions' default if None.

    Raises:
        ValueError: if `dim` is below 1.

    Example:
        >>> from sxvae.distributions import HypersphericalUniform
        >>> q = HypersphericalUniform(2)  # S^2, with the area 4 pi
        >>> q.sample((10,)).shape
        torch.Size([10, 3])
        >>> f"{q.entropy().exp():.4f}"
        '12.5664'
    """

    has_rsample = True
    has_parameters = False  # so that its type decides that of no KL

    def __init__(
        self,
        dim: int,
        batch_shape: Shape = (),
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str = "cpu",
        validate_args: bool | None = None,
    ) -> None:
        if dim < 1:
            raise ValueError(f"a hypersphere has dimension 1 or more, not {dim}")
        self.dim = dim
        self.dtype = dtype or torch.get_default_dtype()
        self.device = torch.device(device)
        super().__init__(torch.Size(batch_shape), torch.Size([dim + 1]), validate_args)

    @property
    def arg_constraints(self) -> dict[str, torch.distributions.constraints.Constraint]:
        """Empty: there are no tensor-valued parameters."""
        return {}

    @property
    def support(self) -> torch.distributions.constraints.Constraint:
        """Vectors of norm 1."""
        return unit_sphere

    @property
    def mean(self) -> Tensor:
        """The zero vector, shape (*batch_shape, m + 1)."""
        return torch.zeros(self._extended_shape(), dtype=self.dtype, device=self.device)

    @property
    def mode(self) -> Tensor:
        """NaN, as for torch.distributions.Uniform: every point is a mode."""
        return torch.full_like(self.mean, torch.nan)

    @property
    def variance(self) -> Tensor:
        """1 / (m + 1) in each coordinate, shape (*batch_shape, m + 1)."""
        return torch.full_like(self.mean, 1 / (self.dim + 1))

    def expand(
        self,
        batch_shape: Shape,
        _instance: HypersphericalUniform | None = None,
    ) -> HypersphericalUniform:
        """The same distribution with its batch shape expanded."""
        new: HypersphericalUniform = self._get_checked_instance(HypersphericalUniform, _instance)  # type: ignore[no-untyped-call]
        HypersphericalUniform.__init__(
            new, self.dim, batch_shape, dtype=self.dtype, device=self.device, validate_args=False
        )
        new._validate_args = self._validate_args
        return new

    def promoted(self) -> HypersphericalUniform:
        """The same distribution in float32, if it is of a reduced type."""
        dtype = torch.promote_types(self.dtype, torch.float32)
        new = HypersphericalUniform(self.dim, self.batch_shape, dtype=dtype, device=self.device)
        new._validate_args = self._validate_args
        return new

    @in_full_precision
    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        """Draw samples, shape (*sample_shape, *batch_shape, m + 1)."""
        shape = self._extended_shape(torch.Size(sample_shape))
        return uniform_directions(shape, dtype=self.dtype, device=self.device)

    def log_prob(self, value: Tensor) -> Tensor:
        """-log |S^m| in nats, shape (..., *batch_shape).

        Raises:
            ValueError: if `validate_args` is on and a vector's norm is not 1.
        """
        if self._validate_args and can_read(value):
            self._validate_sample(value)
        shape = torch.broadcast_shapes(value.shape[:-1], self.batch_shape)
        return value.new_full(shape, -log_surface_area(self.dim))

    def entropy(self) -> Tensor:
        """Log |S^m| in nats, shape batch_shape."""
        return torch.full(
            self.batch_shape, log_surface_area(self.dim), dtype=self.dtype, device=self.device
        )
