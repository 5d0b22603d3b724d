"""Every method at the very ends of each type's range of concentrations."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.distributions import Distribution, kl_divergence

from sxvae.distributions import (
    HypersphericalUniform,
    PowerSpherical,
    SphericalCauchy,
    VonMisesFisher,
)
from sxvae.errors import NumericalError

Family = type[VonMisesFisher] | type[PowerSpherical] | type[SphericalCauchy]
FAMILIES = [VonMisesFisher, PowerSpherical, SphericalCauchy]
TYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
METHODS: dict[str, Callable[[Distribution], Tensor]] = {
    "rsample": lambda q: q.rsample(),
    "log_prob": lambda q: q.log_prob(_axis(q, 0)),
    "entropy": lambda q: q.entropy(),
    "mean": lambda q: q.mean,
    "variance": lambda q: q.variance,
    "KL to the uniform": lambda q: kl_divergence(q, _uniform(q)),
    "KL from the uniform": lambda q: kl_divergence(_uniform(q), q),
    "KL to another": lambda q: kl_divergence(q, _another(q)),
    "KL from another": lambda q: kl_divergence(_another(q), q),
}


def _axis(q: Distribution, index: int) -> Tensor:
    return torch.eye(q.event_shape[0], dtype=q.dtype)[index]  # type: ignore[attr-defined]


def _uniform(q: Distribution) -> HypersphericalUniform:
    return HypersphericalUniform(q.event_shape[0] - 1, dtype=q.dtype)  # type: ignore[attr-defined]


def _another(q: Distribution) -> Distribution:
    assert isinstance(q, VonMisesFisher | PowerSpherical | SphericalCauchy)
    return type(q)(_axis(q, 1), 3.0)


def _ends(dtype: torch.dtype) -> list[float]:
    limits = torch.finfo(dtype)
    numbers = [0.0, limits.smallest_normal / 4, limits.tiny, 1e-38, 1e38, min(limits.max, 1e100)]
    return [number for number in numbers if number <= limits.max]


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("ambient", [2, 3, 10, 500])
@pytest.mark.parametrize("family", FAMILIES)
def test_results_and_gradients_are_finite_where_the_type_has_room(
    family: Family,
    ambient: int,
    dtype: torch.dtype,
    compiled: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sxvae.distributions.sampling.backend.can_compile", lambda: compiled)
    loc = torch.eye(ambient, dtype=dtype)[0].requires_grad_()
    for number in _ends(dtype):
        k = torch.tensor(number, dtype=dtype, requires_grad=True)
        for name, method in METHODS.items():
            if "from" in name and number > torch.finfo(dtype).max / 10:
                continue  # up to several times k, for which the type may have no room
            value = method(family(loc, k))
            gradients = torch.autograd.grad(value.sum(), (loc, k), allow_unused=True)
            for each in (value, *gradients):
                assert each is None or each.isfinite().all(), (name, number)


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("ambient", [2, 3, 10])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_kl_goes_on_as_a_logarithm(
    family: Family, ambient: int, compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sxvae.distributions.sampling.backend.can_compile", lambda: compiled)
    k = torch.tensor([1e30, 1e37, 1e38, 3e38, 1e60, 1e100], dtype=torch.float64, requires_grad=True)
    q = family(torch.eye(ambient, dtype=torch.float64)[0], k)
    kl = kl_divergence(q, _uniform(q))
    rise = (kl - kl[0]).detach()
    expected = (ambient - 1) / 2 * (k.detach() / 1e30).log()
    torch.testing.assert_close(rise, expected, rtol=1e-10, atol=1e-9)
    (slope,) = torch.autograd.grad(kl.sum(), k)
    torch.testing.assert_close(slope * k.detach(), torch.full_like(slope, (ambient - 1) / 2))
    torch.testing.assert_close(kl, kl_divergence(q, family(q.loc, 0.0)), rtol=1e-10, atol=1e-9)
    in_float32 = family(q.loc[0].float(), torch.tensor(3e38))
    assert kl_divergence(in_float32, _uniform(in_float32)) == pytest.approx(kl[3].item(), rel=1e-6)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("family", FAMILIES)
def test_other_concentrations_are_refused(family: Family, dtype: torch.dtype) -> None:
    loc = torch.eye(3, dtype=dtype)[0]
    bad = [-1.0, float("nan"), float("inf"), *([1e101] if dtype == torch.float64 else [])]
    for number in bad:
        k = torch.tensor(number, dtype=dtype)
        with pytest.raises(ValueError, match="concentration"):
            family(loc, k, validate_args=True)
        unchecked = family(loc, k, validate_args=False)
        for draw in (unchecked.sample, unchecked.rsample):
            with pytest.raises(NumericalError, match=r"finite and >= 0, up to 1e\+100"):
                draw()


def test_samples_on_s2_are_as_near_as_their_concentration_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loc, k = torch.eye(3, dtype=torch.float64)[0], torch.tensor(1e30, dtype=torch.float64)
    for compiled in (True, False):
        monkeypatch.setattr(
            "sxvae.distributions.sampling.backend.can_compile", lambda compiled=compiled: compiled
        )
        x = VonMisesFisher(loc, k).sample((2_000,))
        assert x[:, 1:].square().sum(dim=-1).mean() == pytest.approx(2e-30, rel=0.15)
