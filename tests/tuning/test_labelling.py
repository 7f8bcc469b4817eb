"""Names beside points."""

import numpy as np

from tuning.labelling import GAP, LETTER, _box, _meet, _shares, placed


def test_no_name_covers_another_and_all_lie_inside():
    rng = np.random.default_rng(0)
    x, y = np.exp(rng.normal(size=40)).tolist(), rng.uniform(60, 90, 40).tolist()
    names = [f"some_model_{number}_large" for number in range(40)]
    sides = placed(names, x, y)
    across, up = _shares(np.log(x).tolist()), _shares(y)
    boxes = [
        _box(side, a, b, LETTER * len(name)) for side, a, b, name in zip(sides, across, up, names, strict=True) if side
    ]
    assert len(boxes) > 5
    assert not any(_meet(one, other) for place, one in enumerate(boxes) for other in boxes[:place])
    assert all(box.left >= 0 and box.right <= 1 for box in boxes) and GAP > 0


def test_names_far_apart_are_all_written():
    assert None not in placed(["a", "b", "c"], [1.0, 10.0, 100.0], [1.0, 2.0, 3.0])
