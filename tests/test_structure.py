"""The tests have the same folders as the packages that they are about."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
ROOTS = {
    "benchmarks": TESTS.parent,
    "sxvae": TESTS.parent,
    "sxvae_cli": TESTS.parent / "cli",
    "sxvae_export": TESTS.parent / "exports",
    "sxvae_runtime": TESTS.parent / "exports",
}


@pytest.mark.parametrize("package", ROOTS)
def test_folders_of_tests_mirror_those_of_the_package(package: str) -> None:
    folders = {path.parent.relative_to(TESTS) for path in (TESTS / package).rglob("test_*.py")}
    assert folders
    missing = [str(folder) for folder in folders if not (ROOTS[package] / folder).is_dir()]
    assert not missing


def test_every_folder_of_a_package_is_a_package_itself() -> None:
    """Wheels leave out folders that have no `__init__.py`, without a warning."""
    for package, root in ROOTS.items():
        if package == "benchmarks":
            continue
        folders = {path.parent for path in (root / package).rglob("*.py")}
        assert not [str(folder) for folder in folders if not (folder / "__init__.py").is_file()]
