import pytest

from serving.rates import Rates, TooOften


def test_a_burst_then_the_rate_then_a_burst_again():
    now = [0.0]
    rates = Rates(5.0, lambda: now[0])
    for _ in range(10):
        rates.take(1)
    with pytest.raises(TooOften, match="5 requests a second") as refusal:
        rates.take(1)
    assert refusal.value.after_seconds == 1
    now[0] += 0.2
    rates.take(1)
    with pytest.raises(TooOften):
        rates.take(1)
    now[0] += 60
    for _ in range(10):
        rates.take(1)


def test_one_client_does_not_use_up_anothers_turn():
    rates = Rates(1.0, lambda: 0.0)
    for client in range(5):
        rates.take(client)
        rates.take(client)
        with pytest.raises(TooOften):
            rates.take(client)


def test_a_slow_rate_says_how_long_to_wait():
    rates = Rates(0.1, lambda: 0.0)
    rates.take(1)
    with pytest.raises(TooOften) as refusal:
        rates.take(1)
    assert refusal.value.after_seconds == 10


def test_without_a_rate_nobody_is_refused():
    rates = Rates(0.0)
    for _ in range(1000):
        rates.take(1)
