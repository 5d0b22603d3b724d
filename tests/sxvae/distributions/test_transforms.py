"""torch.func, forward mode and second derivatives: each cell of the table in docs/distributions.md.

What does not work raises an error that says so; nothing is 0 that should not be.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import mpmath
import pytest
import torch
from torch import Tensor
from torch.distributions import kl_divergence
from torch.func import grad, hessian, jacfwd, jacrev, jvp, vmap
from torch.nn.functional import normalize

from sxvae.distributions import HypersphericalUniform, PowerSpherical, VonMisesFisher
from sxvae.distributions.special import bessel_ratio, log_bessel_ive

Family = type[VonMisesFisher] | type[PowerSpherical]
Function = Callable[[Family, Tensor, Tensor, Tensor], Tensor]
FAMILIES: list[Family] = [VonMisesFisher, PowerSpherical]
FUNCTIONS: dict[str, Function] = {
    "log_prob": lambda family, loc, k, x: family(loc, k).log_prob(x),
    "entropy": lambda family, loc, k, x: family(loc, k).entropy(),
    "mean": lambda family, loc, k, x: (family(loc, k).mean * x).sum(dim=-1),
    "variance": lambda family, loc, k, x: (family(loc, k).variance * x).sum(dim=-1),
    "KL to the uniform": lambda family, loc, k, x: kl_divergence(family(loc, k), _uniform(loc)),
    "KL from the uniform": lambda family, loc, k, x: kl_divergence(_uniform(loc), family(loc, k)),
    "KL between two": lambda family, loc, k, x: kl_divergence(family(loc, k), family(x, 1 + k / 3)),
}
# PyTorch itself uses what it deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")


def _uniform(loc: Tensor) -> HypersphericalUniform:
    return HypersphericalUniform(loc.shape[-1] - 1, dtype=loc.dtype)


def _assert_near(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def _along(
    function: Callable[..., Tensor], arguments: tuple[Tensor, ...], tangents: tuple[Tensor, ...]
) -> Tensor:
    slope: Tensor = jvp(function, arguments, tangents)[1]
    return slope


def _arguments(ambient: int) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(ambient)
    loc, x = (normalize(torch.randn(3, ambient, dtype=torch.float64), dim=-1) for _ in range(2))
    return loc, torch.tensor([0.4, 6.0, 70.0], dtype=torch.float64), x


@pytest.mark.parametrize("ambient", [2, 3, 10])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_transforms_give_values_and_gradients_of_autograd(
    name: str, family: Family, ambient: int
) -> None:
    loc, k, x = _arguments(ambient)

    def function(loc: Tensor, k: Tensor) -> Tensor:
        return FUNCTIONS[name](family, loc, k, x)

    def single(loc: Tensor, k: Tensor, x: Tensor) -> Tensor:
        return FUNCTIONS[name](family, loc, k, x)

    expected = function(loc, k)
    torch.testing.assert_close(vmap(single)(loc, k, x), expected, rtol=1e-11, atol=1e-13)
    batched = vmap(single, in_dims=(None, 0, None))(loc[0], k, x[0])
    torch.testing.assert_close(batched[0], expected[0], rtol=1e-11, atol=1e-13)
    inputs = loc.clone().requires_grad_(), k.clone().requires_grad_()
    by_loc, by_k = torch.autograd.grad(
        function(*inputs).sum(), inputs, allow_unused=True, materialize_grads=True
    )
    for found, gradient in zip(
        vmap(grad(single, argnums=(0, 1)))(loc, k, x), (by_loc, by_k), strict=True
    ):
        _assert_near(found, gradient)
    _assert_near(jacrev(function, argnums=1)(loc, k).diagonal(), by_k)
    _assert_near(jacfwd(function, argnums=1)(loc, k).diagonal(), by_k)
    slope = _along(function, (loc, k), (x, torch.ones_like(k)))
    _assert_near(slope, (by_loc * x).sum(dim=-1) + by_k)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(k, torch.ones_like(k))
        tangent = torch.autograd.forward_ad.unpack_dual(function(loc, dual)).tangent
    _assert_near(tangent, by_k)


def _second_derivatives(name: str, family: Family) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    loc, k, x = _arguments(5)
    return lambda k: FUNCTIONS[name](family, loc, k, x).sum(), k


KNOWN = [
    (name, family)
    for family in FAMILIES
    for name in FUNCTIONS
    if (name, family) not in [("variance", VonMisesFisher), ("KL between two", PowerSpherical)]
]


@pytest.mark.parametrize(("name", "family"), KNOWN)
def test_second_derivatives_are_those_of_differences(name: str, family: Family) -> None:
    function, k = _second_derivatives(name, family)
    step = 1e-5
    slopes = [jacrev(function)(k + sign * step) for sign in (1, -1)]
    expected = (slopes[0] - slopes[1]) / (2 * step)
    assert expected.abs().max() > 1e-6
    found = [
        torch.autograd.functional.hessian(function, k),
        hessian(function)(k),
        jacrev(jacrev(function))(k),
        jacrev(jacfwd(function))(k),
    ]
    for each in found:
        torch.testing.assert_close(each.diagonal(), expected, rtol=1e-6, atol=1e-9)
    variable = k.clone().requires_grad_()
    (plain,) = torch.autograd.grad(function(variable), variable)
    (kept,) = torch.autograd.grad(function(variable), variable, create_graph=True)
    torch.testing.assert_close(kept, plain, rtol=1e-14, atol=0)


@pytest.mark.parametrize(
    ("name", "family", "said"),
    [
        ("variance", VonMisesFisher, "twice differentiable"),
        ("KL between two", PowerSpherical, "first derivatives only"),
    ],
)
def test_unknown_second_derivatives_are_refused(name: str, family: Family, said: str) -> None:
    function, k = _second_derivatives(name, family)
    for second in (hessian(function), jacrev(jacrev(function))):
        with pytest.raises(NotImplementedError, match=said):
            second(k)
    with pytest.raises(NotImplementedError, match=said):
        torch.autograd.functional.hessian(function, k)


@pytest.mark.parametrize("family", FAMILIES)
def test_forward_over_forward_is_refused_and_not_zero(family: Family) -> None:
    function, k = _second_derivatives("entropy", family)
    with pytest.raises(NotImplementedError, match="one of the derivatives in reverse mode"):
        jacfwd(jacfwd(function))(k)


@pytest.mark.parametrize("ambient", [2, 3, 10])
@pytest.mark.parametrize("family", FAMILIES)
def test_samples_go_through_vmap_as_randomness_says(family: Family, ambient: int) -> None:
    loc, k, _ = _arguments(ambient)
    alike = loc[:1].expand(2, -1), k[:1].expand(2)

    def draw(loc: Tensor, k: Tensor) -> Tensor:
        return family(loc, k).rsample()

    first, second = vmap(draw, randomness="same")(*alike)
    assert torch.equal(first, second)
    first, second = vmap(draw, randomness="different")(*alike)
    assert not torch.equal(first, second)
    with pytest.raises(RuntimeError, match="randomness"):
        vmap(draw)(loc, k)
    many = torch.tensor(5.0, dtype=torch.float64).expand(20_000)
    drawn = vmap(draw, in_dims=(None, 0), randomness="different")(loc[0], many)
    q = family(loc[0], many[0])
    error = (q.variance / len(drawn)).sqrt()
    assert ((drawn.mean(dim=0) - q.mean).abs() < 5 * error).all()
    assert torch.allclose(drawn.norm(dim=-1), torch.ones(()).double())


@pytest.mark.parametrize("ambient", [2, 3, 10])
@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_of_samples_agree_between_modes(family: Family, ambient: int) -> None:
    loc, k, x = _arguments(ambient)

    def projected(loc: Tensor, k: Tensor) -> Tensor:
        torch.manual_seed(0)
        return (family(loc, k).rsample() * x).sum(dim=-1)

    by_loc, by_k = grad(lambda *each: projected(*each).sum(), argnums=(0, 1))(loc, k)
    along_k = _along(lambda k: projected(loc, k), (k,), (torch.ones_like(k),))
    torch.testing.assert_close(along_k, by_k)
    along_loc = _along(lambda loc: projected(loc, k), (loc,), (x,))
    torch.testing.assert_close(along_loc, (by_loc * x).sum(dim=-1))
    assert by_k.abs().min() > 0


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("ambient", [2, 3, 10])
@pytest.mark.parametrize("family", FAMILIES)
def test_double_backward_through_samples(
    family: Family, ambient: int, compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sxvae.distributions.sampling.backend.can_compile", lambda: compiled)
    loc, k, _ = _arguments(ambient)
    raw, k = torch.cat([loc, loc]).requires_grad_(), k.repeat(2).requires_grad_()
    weight = torch.ones(ambient, dtype=torch.float64, requires_grad=True)

    def gradients(raw: Tensor, weight: Tensor, keep: bool) -> tuple[Tensor, ...]:
        torch.manual_seed(0)
        sample = family(normalize(raw, dim=-1), k).rsample()
        return torch.autograd.grad((sample @ weight).pow(3).sum(), (raw, k), create_graph=keep)

    by_raw, by_k = gradients(raw, weight, True)
    for kept, plain in zip((by_raw, by_k), gradients(raw, weight, False), strict=True):
        assert torch.equal(kept, plain)
    direction = torch.randn_like(raw)
    second, by_weight = torch.autograd.grad(
        (by_raw * direction).sum(), (raw, weight), retain_graph=True
    )
    step = 1e-6
    for found, by_step in (
        ((second * direction).sum(), (direction, torch.zeros_like(weight))),
        (by_weight.sum(), (torch.zeros_like(raw), torch.ones_like(weight))),
    ):
        moved = [(raw + s * by_step[0], weight + s * by_step[1]) for s in (step, -step)]
        ends = [(gradients(*each, False)[0] * direction).sum() for each in moved]
        torch.testing.assert_close(found, (ends[0] - ends[1]) / (2 * step), rtol=1e-5, atol=1e-6)
    torch.autograd.grad(by_k.sum(), weight, retain_graph=True)
    with pytest.raises(NotImplementedError, match="first derivatives only"):
        torch.autograd.grad(by_k.sum(), k)


def _exact(ambient: int, k: float) -> dict[str, float]:
    """Second derivatives of the KL to the uniform and of log_prob at the mode, by mpmath."""
    half = mpmath.mpf(ambient - 1) / 2
    order, k = mpmath.mpf(ambient) / 2 - 1, mpmath.mpf(k)
    ratio = mpmath.besseli(order + 1, k) / mpmath.besseli(order, k)
    first = 1 - ratio**2 - (ambient - 1) * ratio / k
    second = -2 * ratio * first - (ambient - 1) * (first / k - ratio / k**2)
    curvature = mpmath.psi(1, k + half) - mpmath.psi(1, k + 2 * half)
    third = mpmath.psi(2, k + half) - mpmath.psi(2, k + 2 * half)
    return {
        "VonMisesFisher KL": first + k * second,
        "VonMisesFisher log_prob": -first,
        "PowerSpherical KL": curvature + k * third,
        "PowerSpherical log_prob": -curvature,
        "VonMisesFisher scale": first,
        "PowerSpherical scale": curvature,
        "ratio": second,
    }


@pytest.mark.parametrize("ambient", [2, 3, 10, 500, 20_000])
def test_second_derivatives_are_accurate(ambient: int) -> None:
    grid = [1e-6, 1e-2, 1.0, 30.0, 1e3, 1e5, 1e8]
    if ambient > 1_000:  # mpmath's series do not converge for the largest
        grid = grid[:5]
    with mpmath.workdps(60):
        exact = [_exact(ambient, k) for k in grid]
    k = torch.tensor(grid, dtype=torch.float64)
    loc = torch.zeros(ambient, dtype=torch.float64)
    loc[0] = 1
    for family in FAMILIES:
        kl, entropy, at_mode = (
            _second(functools.partial(_at_mode, FUNCTIONS[name], family, loc), k)
            for name in ("KL to the uniform", "entropy", "log_prob")
        )
        for row, values in enumerate(exact):
            name = family.__name__
            scale = float(values[f"{name} scale"])  # the larger of the two terms, up to a factor
            assert abs(kl[row] - float(values[f"{name} KL"])) < 1e-9 * scale
            assert abs(entropy[row] + float(values[f"{name} KL"])) < 1e-9 * scale
            assert abs(at_mode[row] - float(values[f"{name} log_prob"])) < 1e-9 * scale
    ratio = _second(functools.partial(bessel_ratio, ambient / 2 - 1), k)
    for row, values in enumerate(exact):
        assert abs(ratio[row] - float(values["ratio"])) <= 1e-9 * abs(float(values["ratio"]))


def _at_mode(function: Function, family: Family, loc: Tensor, k: Tensor) -> Tensor:
    return function(family, loc, k, loc)


def _sum(function: Callable[..., Tensor], k: Tensor) -> Tensor:
    return function(k).sum()


def _second(function: Callable[..., Tensor], k: Tensor) -> Tensor:
    found: Tensor = torch.autograd.functional.hessian(lambda k: _sum(function, k), k).diagonal()
    other = hessian(lambda k: _sum(function, k))(k).diagonal()
    torch.testing.assert_close(found, other, rtol=1e-9, atol=1e-15)
    return found


def test_bessel_functions_go_through_transforms() -> None:
    x = torch.tensor([0.3, 7.0, 90.0], dtype=torch.float64)
    for order in (0.0, 1.5, 40.0):
        variable = x.clone().requires_grad_()
        (slope,) = torch.autograd.grad(
            log_bessel_ive(order, variable).sum(), variable, create_graph=True
        )
        (second,) = torch.autograd.grad(slope.sum(), variable)

        def single(x: Tensor, order: float = order) -> Tensor:
            return log_bessel_ive(order, x)

        torch.testing.assert_close(vmap(single)(x), log_bessel_ive(order, x))
        torch.testing.assert_close(vmap(grad(single))(x), slope.detach())
        torch.testing.assert_close(vmap(hessian(single))(x), second)
