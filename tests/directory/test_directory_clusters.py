import pytest

from proxy.directory.clusters import Directory
from proxy.directory.upstream import Upstream
from proxy.routing.target import ClusterApi, ClusterRef, ManagementApi, MonitoringUi, OwnPage, RequestInfo

INFO = RequestInfo("get", is_resource_request=False, is_write=False, is_long_running=False)
PROD, TEST = ClusterRef("team-a", "prod"), ClusterRef("team-a", "test")
KAAS = Upstream("kaas", "https", "10.0.0.10", 443)
API = Upstream("k8s/team-a/prod", "https", "10.0.1.10", 443)
GRAFANA = Upstream("sl/team-a/prod/grafana", "http", "10.0.1.20", 3000)
FULL = Directory(KAAS, {PROD: API}, {(PROD, "grafana"): GRAFANA})


def management() -> ManagementApi:
    return ManagementApi(INFO, "GET", b"/version", None)


def api(ref: ClusterRef) -> ClusterApi:
    return ClusterApi(ref, INFO, "GET", b"/version", None)


def application(ref: ClusterRef, name: str) -> MonitoringUi:
    return MonitoringUi(ref, name, "GET", b"/", None)


@pytest.mark.parametrize(
    ("target", "found"),
    [
        (management(), KAAS),
        (api(PROD), API),
        (api(ClusterRef("team-a", "prod")), API),
        (api(TEST), None),
        (api(ClusterRef("prod", "team-a")), None),
        (application(PROD, "grafana"), GRAFANA),
        (application(PROD, "prometheus"), None),
        (application(TEST, "grafana"), None),
        (OwnPage("GET", b"/", None), None),
    ],
)
def test_a_target_is_served_by_exactly_its_own_upstream(target, found):
    assert FULL.find(target) is found


def test_an_empty_directory_serves_nothing():
    empty = Directory()
    assert [empty.find(target) for target in (management(), api(PROD), application(PROD, "grafana"))] == [None, None, None]
    assert (len(empty), list(empty)) == (0, [])
    assert repr(empty) == "Directory(without management API, 0 clusters, 0 applications)"


def test_all_upstreams_are_iterated():
    assert list(FULL) == [KAAS, API, GRAFANA]
    assert len(FULL) == 3
    assert repr(FULL) == "Directory(with management API, 1 clusters, 1 applications)"
