"""A batch grows while it is quick, and shrinks where it takes too long."""

from broker.relay.pace import Pace


def test_a_slow_batch_is_followed_by_one_that_fits() -> None:
    pace = Pace(10_000, 1.0)
    pace.took(10_000, 4.0)
    assert pace.limit == 2_500
    pace.took(2_500, 0.9)
    assert pace.limit == 2_500, "it fits"
    pace.took(2_500, 0.2)
    pace.took(5_000, 0.3)
    pace.took(10_000, 0.1)
    assert pace.limit == 10_000, "never more than the most"


def test_a_batch_that_was_not_full_says_nothing() -> None:
    pace = Pace(10_000, 1.0, 1_000)
    pace.took(10, 0.0)
    assert pace.limit == 1_000
    pace.took(1, 100.0)
    assert pace.limit == 50, "however slow, it goes on"


def test_the_most_holds_from_the_beginning() -> None:
    pace = Pace(3, 1.0, 1_000)
    assert pace.limit == 3
    pace.took(3, 9.0)
    assert pace.limit == 3


def test_where_a_commit_alone_takes_too_long_it_gets_on() -> None:
    """A commit to brokers far away takes a tenth of a second, with one record or with many."""
    pace = Pace(10_000, 0.05, 1_000, 500)
    batches, done = 0, 0
    while done < 100_000:
        batches, done = batches + 1, done + pace.limit
        pace.took(pace.limit, 0.1 + pace.limit * 10e-6)
    assert batches < 250
