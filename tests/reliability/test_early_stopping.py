"""Early stopping and the best epoch, against an independent reading of what is documented.

The best epoch has the highest validation ELBO after burn-in. Training stops when for `look_ahead`
epochs the validation ELBO has not risen by more than `min_improvement` above where it last did.
"""

from __future__ import annotations

import dataclasses
import json

from hypothesis import given
from hypothesis import strategies as st

from sxvae.training.early_stopping import EarlyStopping

_ELBOS = st.lists(
    st.one_of(st.integers(-5, 5).map(float), st.floats(-1e6, 1e6)), min_size=1, max_size=40
)


def _read_independently(
    elbos: dict[int, float], burn_in: int, look_ahead: int, rise: float
) -> tuple[int | None, int | None]:
    """The epoch after which training stops, and the best epoch up to it; None if there is none."""
    counted = [epoch for epoch in sorted(elbos) if epoch > burn_in]
    if not counted:
        return None, None
    stop, marks = None, [counted[0]]
    for epoch in counted:
        if elbos[epoch] > elbos[marks[-1]] + rise:
            marks.append(epoch)
        if epoch - marks[-1] >= look_ahead:
            stop = epoch
            break
    seen = [epoch for epoch in counted if stop is None or epoch <= stop]
    highest = max(elbos[epoch] for epoch in seen)
    return stop, min(epoch for epoch in seen if elbos[epoch] == highest)


@given(
    _ELBOS, st.integers(0, 12), st.integers(1, 8), st.floats(0, 3), st.integers(1, 5), st.booleans()
)
def test_early_stopping_as_documented(
    history: list[float],
    burn_in: int,
    look_ahead: int,
    rise: float,
    val_every: int,
    is_resumed: bool,
) -> None:
    epochs = range(1, len(history) + 1)
    elbos = {
        epoch: history[epoch - 1]
        for epoch in epochs
        if epoch % val_every == 0 or epoch == len(history)
    }
    stopping = EarlyStopping(burn_in, look_ahead, rise)
    stop = None
    for epoch, elbo in elbos.items():
        stopping.update(epoch, elbo)
        if is_resumed:  # as `last` keeps it
            stopping = EarlyStopping(**json.loads(json.dumps(dataclasses.asdict(stopping))))
        if stopping.should_stop:
            stop = epoch
            break
    wanted = _read_independently(elbos, burn_in, look_ahead, rise)
    assert (stop, stopping.best_epoch) == wanted
