"""How one process stands, for its own admin listener or for its supervisor."""

from concurrent.futures import ThreadPoolExecutor

from operations_figures import sources

from proxy.operations.metric_totals import unpacked
from proxy.operations.metrics import Metrics
from proxy.operations.overview import ProcessOverview
from proxy.operations.probes import Check, Finding


async def test_each_probe_asks_its_own_checks():
    alive, ready = Check("ping", lambda: None, lambda: "noted"), Check("draining", lambda: "shutting\ndown", lambda: "not asked")
    overview = ProcessOverview([alive], [ready, alive], Metrics(sources()))
    assert await overview.live() == [Finding("ping", None, "noted")]
    assert await overview.ready() == [Finding("draining", "shutting down", None), Finding("ping", None, "noted")]


async def test_a_supervisor_gets_the_figures_that_the_text_holds():
    overview = ProcessOverview([], [], Metrics(sources()))
    with ThreadPoolExecutor(1) as executor:
        text = (await overview.metrics(executor)).decode()
        families = unpacked(await overview.packed_metrics(executor))
    assert [line.split()[3] for line in text.splitlines() if line.startswith("# TYPE")] != []
    samples = {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}
    assert samples["mosk_proxy_requests_total", "kaas", "list", "200"] == 5
    assert samples["mosk_proxy_request_duration_seconds_bucket", "kaas", "0.1"] == 4
    assert samples["process_max_fds",] > 0
    lines = [line for line in text.splitlines() if line.startswith("mosk_proxy")]
    assert len(lines) == len([key for key in samples if key[0].startswith("mosk_proxy")])
