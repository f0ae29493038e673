"""What is to be done with each upstream's answers."""

import pytest

from proxy.directory.upstream import Upstream
from proxy.edge.site import answer_rules
from proxy.wire.inbound import AnswerRules

HERE = frozenset({b"https://10.0.0.1", b"https://10.0.0.1:443"})


@pytest.mark.parametrize(
    ("name", "rules"),
    [
        ("kaas", (AnswerRules(b"/kaas", HERE), AnswerRules(b"/kaas", HERE, is_sandboxed=True))),
        ("k8s/a/b.c", (AnswerRules(b"/k8s/a/b.c", HERE), AnswerRules(b"/k8s/a/b.c", HERE, is_sandboxed=True))),
        (
            "sl/a/b/grafana",
            (AnswerRules(b"/sl/a/b/grafana", HERE, is_kubernetes=False), AnswerRules(b"", HERE, is_kubernetes=False)),
        ),
    ],
)
def test_the_rules_of_an_upstream(name: str, rules: tuple[AnswerRules, AnswerRules]) -> None:
    assert answer_rules(Upstream(name, "https", "10.0.0.1", 443)) == rules


def test_a_base_path_is_part_of_the_rules() -> None:
    assert {rules.base_path for rules in answer_rules(Upstream("sl/a/b/x", "http", "h", 80, base_path=b"/base"))} == {b"/base"}
