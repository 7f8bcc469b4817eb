import numpy as np
import pytest

from active.stopping import Certain, Covered, Plateau, Round, Spent, Stable, kappa


def rounds(**columns):
    length = len(next(iter(columns.values())))
    plain = {"number": range(length), "labels": range(length), "cost": [0.0] * length, "accuracy": [0.5] * length,
             "low": [0.4] * length, "high": [0.6] * length, "uncertainty": [0.5] * length, "coverage": [0.5] * length,
             "kappa": [0.5] * length} | columns  # fmt: skip
    return [Round(**dict(zip(plain, values, strict=True))) for values in zip(*plain.values(), strict=True)]


@pytest.mark.parametrize(
    ("rule", "columns", "stops"),
    [
        (Stable(0.99, 3), {"kappa": [None, 0.99, 1.0, 0.995]}, True),
        (Stable(0.99, 3), {"kappa": [None, 0.99, 0.98, 0.995]}, False),
        (Stable(0.99, 3), {"kappa": [None, 1.0, 1.0]}, False),
        (Certain(0.05), {"uncertainty": [0.2, 0.04]}, True),
        (Certain(0.05), {"uncertainty": [0.04, 0.2]}, False),
        (Covered(0.9), {"coverage": [0.1, 0.9]}, True),
        (Covered(0.9), {"coverage": [0.1, 0.89]}, False),
        (Spent(10), {"cost": [4.0, 10.0]}, True),
        (Spent(10), {"cost": [4.0, 9.9]}, False),
        (Plateau(2), {"accuracy": [0.8, 0.83, 0.84], "high": [0.85] * 3}, True),
        (Plateau(2), {"accuracy": [0.8, 0.83, 0.86], "high": [0.85] * 3}, False),
        (Plateau(2), {"accuracy": [0.8, 0.83]}, False),
        (Plateau(1), {"accuracy": [None, None, None]}, False),
    ],
)
def test_a_rule_stops_where_it_says_and_tells_why(rule, columns, stops):
    why = rule.why(rounds(**columns))
    assert bool(why) == stops and (why is None or any(sign.isdigit() for sign in why))


def test_kappa_is_agreement_beyond_chance():
    first = np.array([0, 0, 1, 1])
    assert kappa(first, first, 2) == 1.0
    assert kappa(first, np.array([0, 1, 0, 1]), 2) == pytest.approx(0.0)
    assert kappa(np.zeros(4, int), np.zeros(4, int), 2) == 1.0
