from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import sxvae_runtime
from sxvae_runtime import InputError

CPU = "CPUExecutionProvider"


@pytest.mark.parametrize(
    "providers",
    [None, CPU, [CPU], (CPU,), (CPU, {}), [(CPU, {"use_arena": "0"})]],
)
def test_providers_in_every_form(bundle: Path, providers: Any) -> None:
    assert sxvae_runtime.load(bundle, providers=providers).verify() < 1e-4


@pytest.mark.parametrize(
    ("providers", "message"),
    [
        ([], "providers is an empty list; leave it out to run on the CPU"),
        ((), "providers is an empty list"),
        ("", "no provider ''; choose from "),
        ("CPU", "no provider 'CPU'; choose from .*CPUExecutionProvider"),
        (["CUDAExecutionProvider"], "no provider 'CUDAExecutionProvider'; choose from"),
        ([CPU, "Foo"], "no provider 'Foo'"),
        (("Foo", {}), "no provider 'Foo'"),
        ([("Foo", {})], "no provider 'Foo'"),
        ({CPU: {}}, "providers must be a list of names, or of pairs"),
        ({CPU}, "providers must be a list"),
        (1, "providers must be a list"),
        ([None], "and None is neither"),
        ([()], r"and \(\) is neither"),
        ([(CPU,)], "is neither"),
        ([(CPU, {}, {})], "is neither"),
        ([(CPU, "use_arena")], "is neither"),
        ([b"CPU"], "is neither"),
    ],
)
def test_other_providers_are_refused(bundle: Path, providers: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        sxvae_runtime.load(bundle, providers=providers)
