from __future__ import annotations

from sxvae.training.early_stopping import EarlyStopping


def test_waiting_is_counted_in_epochs_where_validations_are_rarer() -> None:
    """Also where the last epoch of a run is validated out of turn."""
    stopping = EarlyStopping(burn_in=0, look_ahead=6, min_improvement=0.0)
    for epoch, waited in ((3, 0), (6, 3), (7, 4), (8, 5), (9, 6)):
        assert not stopping.should_stop
        stopping.update(epoch, -float(epoch))
        assert stopping.waited == waited
    assert stopping.should_stop


def _run(stopping: EarlyStopping, elbos: list[float]) -> list[bool]:
    return [stopping.update(epoch, elbo) for epoch, elbo in enumerate(elbos, start=1)]


def test_nothing_counts_in_burn_in() -> None:
    stopping = EarlyStopping(burn_in=2, look_ahead=1, min_improvement=0.0)
    assert _run(stopping, [5.0, 6.0, 1.0]) == [False, False, True]
    assert stopping.best_epoch == 3
    assert not stopping.should_stop


def test_a_small_rise_is_the_best_but_no_improvement() -> None:
    stopping = EarlyStopping(burn_in=0, look_ahead=2, min_improvement=0.5)
    assert _run(stopping, [1.0, 1.2, 1.4]) == [True, True, True]
    assert stopping.should_stop
    assert stopping.best_epoch == 3


def test_waiting_starts_anew_at_an_improvement() -> None:
    stopping = EarlyStopping(burn_in=0, look_ahead=2, min_improvement=0.1)
    assert _run(stopping, [1.0, 0.5, 1.2, 0.1]) == [True, False, True, False]
    assert stopping.waited == 1
    assert not stopping.should_stop
    stopping.update(5, 1.25)  # better, not by enough
    assert stopping.should_stop
    assert stopping.best_elbo == 1.25
