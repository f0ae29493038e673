"""The text of /metrics as a Prometheus server reads it."""

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from operations_figures import Discovery, Edge, Pool, sources
from prometheus_client.parser import text_string_to_metric_families

from proxy.operations.audit import AuditSink
from proxy.operations.metrics import Metrics

DOCUMENT = Path(__file__).parents[2] / "docs" / "operations.md"


async def scrape(**changes) -> dict:
    with ThreadPoolExecutor(1) as executor:
        text = await Metrics(sources(**changes)).text(executor)
    samples: dict = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            key = sample.name, tuple(sorted(sample.labels.items()))
            assert key not in samples, "a series may come but once"
            samples[key] = sample.value
    return samples


def series(name: str, **labels: str):
    return f"mosk_proxy_{name}", tuple(sorted(labels.items()))


@pytest.mark.parametrize(
    ("sample", "value"),
    [
        (series("requests_total", target="kaas", verb="list", status="200"), 5),
        (series("requests_total", target="k8s", verb="get", status="403"), 2),
        (series("request_duration_seconds_bucket", target="kaas", le="0.005"), 3),
        (series("request_duration_seconds_bucket", target="kaas", le="0.1"), 4),
        (series("request_duration_seconds_bucket", target="kaas", le="1.0"), 4),
        (series("request_duration_seconds_bucket", target="kaas", le="+Inf"), 5),
        (series("request_duration_seconds_count", target="kaas"), 5),
        (series("request_duration_seconds_sum", target="kaas"), 12.5),
        (series("request_duration_seconds_count", target="sl"), 0),
        (series("decisions_total", target="k8s", decision="deny"), 2),
        (series("malformed_requests_total", cause="host"), 4),
        (series("malformed_requests_total", cause='odd "cause"\n'), 1),
        (series("requests_in_flight"), 3),
        (series("connections"), 17),
        (series("connections_refused_total", cause="descriptors"), 6),
        (series("streams", kind="watch"), 2),
        (series("received_bytes_total"), 1000),
        (series("sent_bytes_total"), 123_456_789_012),
        (series("upstream_connections_idle", upstream="kaas"), 1),
        (series("upstream_connections_active", upstream="kaas"), 2),
        (series("upstream_connections_opened_total", upstream="kaas"), 30),
        (series("upstream_connections_failed_total", upstream="kaas"), 4),
        (series("upstream_requests_waiting", upstream="kaas"), 5),
        (series("upstream_circuit_open", upstream="kaas"), 0),
        (series("upstream_circuit_open", upstream="k8s/team-a/prod"), 1),
        (series("token_cache_hits_total"), 90),
        (series("token_cache_misses_total"), 10),
        (series("tokens_refused_total", cause="expired"), 3),
        (series("key_set_ready", issuer="https://idp/realms/iam"), 1),
        (series("key_set_ready", issuer="https://other"), 0),
        (series("key_set_age_seconds", issuer="https://idp/realms/iam"), 12.5),
        (series("key_set_fetches_total", issuer="https://idp/realms/iam", outcome="failed"), 1),
        (series("audit_lines_written_total"), 0),
        (series("audit_accepting"), 1),
        (series("reloads_total", outcome="refused"), 1),
        (series("discovery_clusters"), 40),
        (series("discovery_objects_skipped"), 3),
        (series("discovery_age_seconds"), 7.5),
        (series("discovery_failing_seconds"), 90),
        (series("discovery_reads_total", outcome="watched"), 9),
    ],
    ids=str,
)
async def test_each_figure_has_its_series(sample, value):
    assert (await scrape())[sample] == value


async def test_the_running_version_is_told():
    [labels] = [dict(labels) for name, labels in await scrape() if name == "mosk_proxy_build_info"]
    assert labels["version"] == "1.2.3"
    assert set(labels) == {"version", "python"}


async def test_the_audit_sink_is_told_as_it_is(tmp_path):
    async with AuditSink(tmp_path / "audit.log", when_full="refuse", most_lines=1) as sink:
        sink.put(b"{}")
        samples = await scrape(audit=sink)
        assert samples[series("audit_lines_queued")] == 1
        assert samples[series("audit_accepting")] == 0
    sink.put(b"{}")
    samples = await scrape(audit=sink)
    assert samples[series("audit_lines_written_total")] == 1
    assert samples[series("audit_lines_dropped_total")] == 1
    assert samples[series("audit_failures_total")] == 0


async def test_keys_never_fetched_have_no_age():
    assert series("key_set_age_seconds", issuer="https://other") not in await scrape()


async def test_what_was_never_discovered_has_no_age_and_no_series_without_discovery():
    assert not any(
        name.endswith("discovery_age_seconds") for name, _ in await scrape(discovery=lambda: Discovery(age_seconds=None))
    )
    assert not any("discovery" in name for name, _ in await scrape(discovery=lambda: None))


async def test_the_pools_that_a_reload_left_beside_each_other_are_one_series():
    samples = await scrape(pools=lambda: [Pool("kaas", idle=3), Pool("kaas", idle=4, circuit_open=True)])
    assert samples[series("upstream_connections_idle", upstream="kaas")] == 7
    assert samples[series("upstream_circuit_open", upstream="kaas")] == 1


async def test_buckets_that_do_not_fit_the_bounds_are_a_mistake_and_not_a_wrong_figure():
    with pytest.raises(ValueError, match="zip"):
        await scrape(duration_bounds=(1.0,))


async def test_the_process_is_told():
    samples = await scrape()
    for name in ("process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "process_max_fds"):
        assert samples[name, ()] > 0


async def test_figures_that_change_during_the_scrape_do_not_break_it():
    edge = Edge()

    async def change():
        for number in range(2000):
            edge.requests["sl", "get", number] = 1
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        changing = group.create_task(change())
        while not changing.done():
            await scrape(edge=edge)


async def test_every_metric_is_documented_and_every_documented_one_is_there():
    with ThreadPoolExecutor(1) as executor:
        text = (await Metrics(sources()).text(executor)).decode()
    families = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE mosk_proxy_")}
    assert families == set(re.findall(r"^\| `(mosk_proxy_\w+)", DOCUMENT.read_text(), re.MULTILINE))
