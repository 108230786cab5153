"""A batch grows while it is quick, and shrinks where it takes too long or does not land."""

from broker.relay.pace import Pace, Paces


def test_a_slow_batch_is_followed_by_one_that_fits() -> None:
    pace = Pace(10_000, 1.0, 10_000)
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
    pace = Paces(10_000).beside
    batches, done = 0, 0
    while done < 100_000:
        batches, done = batches + 1, done + pace.limit
        pace.took(pace.limit, 0.1 + pace.limit * 10e-6)
    assert batches < 150


def test_what_did_not_land_is_tried_with_less_until_it_does() -> None:
    pace = Pace(100_000, 1.0, 10_000)
    sizes = list[int]()
    while not sizes or sizes[-1] > 30:
        sizes.append(pace.limit)
        pace.failed(pace.limit)
    assert len(sizes) < 12
    slow = pace.limit
    pace.took(slow, 5.0)
    assert pace.limit <= slow, "what is slow does not make it more"
    for _ in range(20):
        pace.failed(pace.limit)
    assert pace.records(1_000) == 1, "one is always tried"


def test_where_every_record_reaches_many_shares_a_batch_begins_with_few() -> None:
    pace = Paces(10_000).own
    assert [pace.records(each) for each in (1, 20, 1_000)] == [10_000, 500, 10]
