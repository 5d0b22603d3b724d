"""Open a bundle, and refuse it if its parts do not fit each other."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from sxvae_runtime import inputs
from sxvae_runtime.bundle import Bundle
from sxvae_runtime.bundle_files import read_bundle
from sxvae_runtime.errors import BundleError
from sxvae_runtime.locations import BundlePath, find_bundle
from sxvae_runtime.providers import Provider, check_providers
from sxvae_runtime.sessions import Sessions, make_session_options

if TYPE_CHECKING:
    import onnxruntime


def load(
    path: BundlePath,
    *,
    providers: Sequence[Provider] | Provider | None = None,
    session_options: onnxruntime.SessionOptions | None = None,
    threads: int | None = None,
    batch_size: int = 256,
    levels: int | None = None,
) -> Bundle:
    """Open a bundle and check all of it.

    Args:
        path: the folder that `sxvae export --onnx` wrote, or a file in it.
        providers: onnxruntime's execution providers, a list of names and of pairs of a name and
            its options, or one alone; the CPU's if None.
        session_options: onnxruntime's options for the session of every graph, used as they are.
        threads: onnxruntime's threads within an operator, 1 if None, 0 for as many as there are
            cores. With `session_options` leave it out, and set their `intra_op_num_threads`.
        batch_size: how many images or latent vectors a graph takes at a time: what is larger is
            cut up. Memory grows with it, above all in convolutions.
        levels: how many levels images have that are whole numbers: N - 1 stands for 1. None for
            those that the model was trained on, where the manifest says it.

    Raises:
        BundleNotFoundError: if the folder or a file of it is missing.
        BundleError: if a file is damaged, swapped, foreign, of a newer format, or a graph that
            reaches beyond its own file.
        InputError: if onnxruntime has no such provider, a number is out of range, or both
            `session_options` and `threads` are given.
        MissingPackageError: if onnxruntime is not installed.

    Example:
        app = sxvae_runtime.load("bundle")
        images = app.decode(app.sample_prior(16, seed=0))
    """
    inputs.at_least(1, batch_size, "batch_size")
    levels = None if levels is None else inputs.checked_levels(levels)
    chosen = check_providers(providers)
    options = make_session_options(session_options, threads)
    folder = find_bundle(path)
    manifest, files = read_bundle(folder)
    sessions = Sessions(folder.absolute(), manifest, chosen, options)
    load_again = None
    if session_options is None:
        load_again = partial(
            _load_same,
            str(folder.absolute()),
            manifest.sha256,
            providers=chosen,
            threads=threads,
            batch_size=batch_size,
            levels=levels,
        )
    return Bundle(folder, manifest, sessions, files, batch_size, levels, load_again)


def _load_same(path: str, sha256: str, **options: Any) -> Bundle:  # noqa: ANN401 (each its own)
    """What a bundle that was pickled becomes in the process that gets it.

    Raises:
        BundleError: if another bundle is there now.
    """
    bundle = load(path, **options)
    if bundle.manifest.sha256 != sha256:
        raise BundleError(
            f"the bundle at {path} is another one than when it was pickled (its hash differs): "
            "load it anew"
        )
    return bundle
