"""Counts of requests and durations, as the metrics read them."""

from edge_door import POD, Door

from proxy.edge.counters import DURATION_BOUNDS, Counters, Durations


def test_a_duration_falls_in_the_first_bucket_that_holds_it() -> None:
    durations = Durations()
    for seconds in (0.0, 0.001, 0.0011, 60.0, 60.1, 4000.0):
        durations.add(seconds)
    assert durations.buckets == [2, 1, *[0] * 12, 1, 2]
    assert len(durations.buckets) == len(DURATION_BOUNDS) + 1
    assert (durations.count, durations.sum) == (6, 4120.1021)


def test_requests_are_added_up_by_each_view() -> None:
    counters = Counters()
    for kind, verb, status, decision in (
        ("k8s", "get", 200, "allow"),
        ("k8s", "get", 403, "deny"),
        ("k8s", "get", None, "allow"),
        ("own", None, 200, "allow"),
    ):
        counters.finished[kind, verb, status, decision] = Durations()
        counters.finished[kind, verb, status, decision].add(0.5)
    counters.finished_streams["k8s", "watch", 200, "allow"] += 3
    assert counters.requests == {
        ("k8s", "get", 200): 1,
        ("k8s", "get", 403): 1,
        ("k8s", "get", 0): 1,
        ("own", "none", 200): 1,
        ("k8s", "watch", 200): 3,
    }
    assert counters.decisions == {("k8s", "allow"): 5, ("k8s", "deny"): 1, ("own", "allow"): 1}
    assert {kind: (durations.count, durations.sum) for kind, durations in counters.durations.items()} == {
        "k8s": (3, 1.5),
        "own": (1, 0.5),
    }


def test_a_stream_is_counted_and_its_length_is_not(entry: Door) -> None:
    counters = entry.running.edge.counters
    assert entry.ask("GET", "/k8s/team-a/prod/api/v1/pods?watch=1").status == 200
    assert entry.ask("GET", POD).status == 200
    entry.until(lambda: counters.requests.get(("k8s", "get", 200)))
    assert counters.requests == {("k8s", "watch", 200): 1, ("k8s", "get", 200): 1}
    assert counters.durations["k8s"].count == 1
    assert (counters.in_flight, dict(counters.streams), counters.bytes_out) == (0, {"watch": 0}, 4)
