"""Every method in every floating-point type: computed in float32, given back as it came."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.distributions import Distribution, kl_divergence
from torch.nn.functional import normalize

from sxvae.distributions import (
    HypersphericalUniform,
    PowerSpherical,
    ProductDistribution,
    VonMisesFisher,
)
from sxvae.distributions.constraints import unit_sphere
from sxvae.distributions.normal import normal

TYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
REDUCED = TYPES[:2]
DIMENSIONS = [2, 3, 10, 500]
MAKERS: dict[str, Callable[[Tensor, Tensor], Distribution]] = {
    "vmf": VonMisesFisher,
    "power-spherical": PowerSpherical,
    "uniform": lambda loc, k: HypersphericalUniform(
        loc.shape[-1] - 1, k.shape, dtype=loc.dtype, device=loc.device
    ),
    "single normal": lambda loc, k: normal(loc, 1 / (1 + k.unsqueeze(-1)), "single"),
    "full normal": lambda loc, k: normal(
        loc[..., :2], torch.stack([1 + k, 0 * k, k, 2 + k], dim=-1), "full"
    ),
    "product": lambda loc, k: ProductDistribution(
        [VonMisesFisher(loc, k), normal(loc, 1 / (1 + k.unsqueeze(-1)), "single")],
        [(0, 2), (1, 3)],
    ),
}
METHODS: dict[str, Callable[[Distribution], Tensor]] = {
    "log_prob": lambda q: q.log_prob(q.sample()),
    "entropy": lambda q: q.entropy(),
    "mean": lambda q: q.mean,
    "mode": lambda q: q.mode,
    "variance": lambda q: q.variance,
    "rsample": lambda q: q.rsample((2,)),
    "sample": lambda q: q.sample((2,)),
    "expand": lambda q: q.expand((3, *q.batch_shape)).entropy(),
}
SPHERICAL = ["vmf", "power-spherical", "uniform"]
PAIRS = [
    *(pair for pair in itertools.product(SPHERICAL, repeat=2) if len({*pair, "uniform"}) < 3),
    ("single normal", "single normal"),
    ("full normal", "full normal"),
    ("product", "product"),
]


def _parameters(ambient: int, dtype: torch.dtype, device: str) -> tuple[Tensor, Tensor]:
    torch.manual_seed(ambient)
    loc, k = torch.randn(2, ambient).to(dtype), torch.tensor([0.5, 9.0]).to(dtype)
    return normalize(loc, dim=-1).to(device).requires_grad_(), k.to(device).requires_grad_()


def _wide(loc: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
    """The same parameters in float32, with the directions at length 1 there."""
    if loc.dtype not in REDUCED:
        return loc, k
    return normalize(loc.detach().float(), dim=-1), k.detach().float()


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("ambient", DIMENSIONS)
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("family", MAKERS)
def test_each_method_gives_the_type_that_it_was_given(
    family: str, dtype: torch.dtype, ambient: int, device: str
) -> None:
    loc, k = _parameters(ambient, dtype, device)
    # PyTorch's own distribution reads its factor's numbers, on the meta device too.
    skipped = {"log_prob"} if family == "full normal" and device == "meta" else set()
    for name, method in METHODS.items():
        if name in skipped or (name == "mode" and family == "uniform"):
            continue
        value = method(MAKERS[family](loc, k))
        assert value.dtype == dtype, name
        assert value.device.type == device, name
        if device == "meta":
            continue
        assert value.isfinite().all(), name
        if value.requires_grad:
            value.sum().backward()
            for each in (loc, k):
                assert each.grad is None or each.grad.dtype == dtype
                assert each.grad is None or each.grad.isfinite().all(), name


@pytest.mark.parametrize("ambient", DIMENSIONS)
@pytest.mark.parametrize("dtype", REDUCED)
@pytest.mark.parametrize("family", MAKERS)
def test_reduced_results_are_those_of_float32_rounded(
    family: str, dtype: torch.dtype, ambient: int
) -> None:
    loc, k = _parameters(ambient, dtype, "cpu")
    for name, method in METHODS.items():
        if name in ("log_prob", "mode"):
            continue  # the one has a rounded sample as argument, the other is loc itself
        torch.manual_seed(0)
        value = method(MAKERS[family](loc, k))
        torch.manual_seed(0)
        expected = method(MAKERS[family](*_wide(loc, k)))
        if "normal" in family or family == "product":
            torch.testing.assert_close(value, expected.to(dtype), rtol=0.02, atol=0.02)
        else:
            assert torch.equal(value, expected.to(dtype)), name


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_each_kl_has_the_type_of_its_parameters(
    pair: tuple[str, str], dtype: torch.dtype, device: str
) -> None:
    if device == "meta" and pair == ("full normal", "full normal"):
        pytest.skip("PyTorch's own KL reads the factors' numbers")
    for ambient in (2, 10):
        loc, k = _parameters(ambient, dtype, device)
        p, q = MAKERS[pair[0]](loc, k), MAKERS[pair[1]](loc.flip(0), k.flip(0))
        kl = kl_divergence(p, q)
        assert (kl.dtype, kl.device.type, kl.shape) == (dtype, device, p.batch_shape)
        if device == "cpu" and dtype in REDUCED:
            loc, k = _wide(loc, k)
            p, q = MAKERS[pair[0]](loc, k), MAKERS[pair[1]](loc.flip(0), k.flip(0))
            torch.testing.assert_close(kl, kl_divergence(p, q).to(dtype), rtol=0.01, atol=0.01)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("ambient", [*DIMENSIONS, 10_000])
def test_vectors_normalised_in_a_type_are_unit_vectors_of_it(
    dtype: torch.dtype, ambient: int
) -> None:
    rows = max(2, min(5_000, 2**20 // ambient))
    raw = torch.randn(rows, ambient).to(dtype)
    square = (raw * raw).sum(dim=-1, keepdim=True)
    divided = raw / raw.norm(dim=-1, keepdim=True)
    for unit in (normalize(raw, dim=-1), divided, raw * square.rsqrt()):
        assert unit_sphere.check(unit).all()
        for factor in (0.95, 1.05):
            assert not unit_sphere.check(unit * factor).any()
        VonMisesFisher(unit, torch.ones(rows, dtype=dtype), validate_args=True)


@pytest.mark.parametrize("family", [VonMisesFisher, PowerSpherical])
@pytest.mark.parametrize(("loc_type", "k_type"), list(itertools.product(TYPES, repeat=2)))
def test_mixed_types_promote_as_torch_does(
    family: type[VonMisesFisher], loc_type: torch.dtype, k_type: torch.dtype
) -> None:
    loc = normalize(torch.randn(3, 5).to(loc_type), dim=-1).requires_grad_()
    k = torch.ones(3, dtype=k_type, requires_grad=True)
    q, expected = family(loc, k), torch.promote_types(loc_type, k_type)
    kl = kl_divergence(q, HypersphericalUniform(4))
    for value in (*(method(q) for method in METHODS.values()), kl):
        assert value.dtype == expected
    (q.rsample().sum() + q.entropy().sum()).backward()
    assert (loc.grad.dtype, k.grad.dtype) == (loc_type, k_type)  # type: ignore[union-attr]
    assert family(loc, torch.tensor(2.0, dtype=k_type)).dtype == loc_type  # a number has none
    assert family(loc, torch.tensor([1, 2, 3])).entropy().dtype == loc_type


@pytest.mark.parametrize("family", [VonMisesFisher, PowerSpherical])
@pytest.mark.parametrize("dtype", REDUCED)
def test_autocast_changes_nothing(family: type[VonMisesFisher], dtype: torch.dtype) -> None:
    loc, k = _parameters(5, torch.float32, "cpu")

    def results() -> list[Tensor]:
        torch.manual_seed(0)
        q = family(loc, k)
        values = [method(q) for method in METHODS.values()]
        values.append(kl_divergence(q, family(loc.flip(0), k.flip(0))))
        return [*values, *torch.autograd.grad(values[5].sum() + values[-1].sum(), (loc, k))]

    expected = results()
    with torch.autocast("cpu", dtype):
        found = results()
    for value, other in zip(found, expected, strict=True):
        assert torch.equal(value, other)


@pytest.mark.parametrize("dtype", REDUCED)
def test_a_fit_to_reduced_vectors_is_near_that_to_the_vectors(dtype: torch.dtype) -> None:
    x = VonMisesFisher(torch.eye(5)[0], 20.0).sample((500,))
    for family in (VonMisesFisher, PowerSpherical):
        fitted, expected = family.fit(x.to(dtype)), family.fit(x)
        assert fitted.dtype == dtype
        k = expected.concentration.item()
        assert fitted.concentration.item() == pytest.approx(k, rel=0.01)
