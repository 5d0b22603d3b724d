"""The sentence on collapsed factors, and what older and damaged metrics say."""

from __future__ import annotations

from typing import Any

import pytest

from sxvae import ProductSpace
from sxvae.collapse import collapse_sentence, collapsed_factors, collapsed_in

FACTORS = ProductSpace.parse("4,2,3", "vmf,vmf,normal").factors


def _metrics(**changes: Any) -> dict[str, Any]:
    return {
        "mutual_information": [0.02, 2.5, 1.5],
        "concentration_per_factor": [3.0, 8.0, None],
        "collapsed": [True, False, False],
        **changes,
    }


def test_a_factor_is_active_if_it_says_something_and_leaves_its_floor() -> None:
    information = [0.1, 0.11, 0.3, 0.05, 3.0]
    concentration = [5.0, 5.0, 1.005, None, None]
    assert collapsed_factors(information, concentration) == [True, False, True, True, False]


def test_the_sentence_says_which_why_and_what_to_try() -> None:
    assert collapse_sentence(FACTORS, _metrics()) == (
        "factor 1 (S^4) has collapsed: its mutual information is 0.02 nat; try --free-bits 0.5, a "
        "smaller space or a longer --kl-warmup"
    )
    at_floor = _metrics(collapsed=[True, False, True], concentration_per_factor=[1.0, 8.0, None])
    assert collapse_sentence(FACTORS, at_floor, free_bits=0.5) == (
        "factor 1 (S^4) has collapsed: its mutual information is 0.02 nat and its concentration at "
        "its floor, 1, and factor 3 (R^3) has collapsed: its mutual information is 1.50 nat; try "
        "--free-bits 1, a smaller space or a longer --kl-warmup"
    )
    assert collapse_sentence(FACTORS, _metrics(collapsed=[False] * 3)) is None


def test_a_large_space_has_a_short_sentence() -> None:
    factors = ProductSpace([1] * 500).factors
    metrics = {
        "mutual_information": [0.0] * 500,
        "concentration_per_factor": [2.0] * 500,
        "collapsed": [True] * 500,
    }
    sentence = collapse_sentence(factors, metrics)
    assert sentence is not None
    assert "495 more" in sentence
    assert len(sentence) < 600


@pytest.mark.parametrize(
    "metrics",
    [
        None,
        {"active_factors": 2, "kl_per_factor": [0.1, 3.0, 1.0]},  # of an older version
        _metrics(collapsed=None),  # of a single image
        _metrics(collapsed=[True]),
        _metrics(mutual_information="0.02"),
    ],
)
def test_metrics_that_do_not_tell(metrics: dict[str, Any] | None) -> None:
    assert collapsed_in(metrics, 3) == ()
    assert collapse_sentence(FACTORS, metrics or {}) is None
