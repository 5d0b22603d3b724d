"""A model whose methods are overridden, or whose modules have hooks, is exported as it is."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from sxvae import ProductSpace, ProductSpaceVAE
from sxvae.distributions import ProductDistribution
from sxvae_export.checks import example_inputs, largest_difference, parts_of, run_graph
from sxvae_export.graphs import to_onnx


class _Overridden(ProductSpaceVAE):
    def encode(self, x: Tensor) -> ProductDistribution:
        loc, concentration, scale = self.space.parameters(super().encode(x))
        return self.space.posterior(-loc, 3 * concentration, scale)

    def decode(self, z: Tensor) -> Distribution:
        return super().decode(z.flip(-1))


def _hooked(space: ProductSpace) -> ProductSpaceVAE:
    model = ProductSpaceVAE(space, (1, 4, 4), (8,))

    def turned(module: nn.Module, inputs: Any, posterior: ProductDistribution) -> Distribution:
        loc, concentration, scale = space.parameters(posterior)
        return space.posterior(-loc, 3 * concentration, scale)

    model.head.register_forward_hook(turned)
    model.likelihood.register_forward_pre_hook(lambda module, inputs: 2 * inputs[0])
    return model


@pytest.mark.parametrize("kind", ["overridden", "hooked"])
def test_overridden_and_hooked_models_are_exported(kind: str) -> None:
    space = ProductSpace.parse("2,3,2", "vmf,normal,power-spherical", "full")
    torch.manual_seed(0)
    model = _Overridden(space, (1, 4, 4), (8,)) if kind == "overridden" else _hooked(space)
    torch.manual_seed(0)
    plain = ProductSpaceVAE(space, (1, 4, 4), (8,))
    parts = {name: part for name, part in parts_of(model.eval()).items() if name != "sampler"}
    inputs = example_inputs(model, parts)
    graphs = {
        name: to_onnx(part, [inputs[key][:2] for key in part.inputs], {}).SerializeToString()
        for name, part in parts.items()
    }
    assert largest_difference(graphs, parts, inputs, torch.device("cpu")) < 1e-4
    for name, part in parts_of(plain.eval()).items():
        if name in graphs:
            found = run_graph(graphs[name], {key: inputs[key].numpy() for key in part.inputs})
            with torch.no_grad():
                expected = part(*(inputs[key] for key in part.inputs))
            first = torch.from_numpy(found[part.outputs[0]])
            assert not torch.allclose(first, expected[0], atol=1e-3)
