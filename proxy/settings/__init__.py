"""Reads the configuration file: YAML in, one frozen `Settings` or every problem at once out.

Touches the files that the configuration names, and nothing else. Converts blocks into the values that the rooms declare.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from proxy.settings.cross_checks import cross_problems
from proxy.settings.model import Settings
from proxy.settings.problems import Problem, SettingsError
from proxy.settings.reading import expand, read_yaml
from proxy.settings.schema import apply

__all__ = ["Problem", "Settings", "SettingsError", "load"]


def load(path: Path, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read and check a configuration file and all that it names; raises SettingsError with every problem found."""
    folder = path.absolute().parent
    document, problems = expand(read_yaml(path), environment)
    # What could not be expanded is wrong already; a second complaint about the same key would only distract.
    unexpanded = {problem.path for problem in problems}
    outcome = apply(document, folder)
    found = [*(outcome if isinstance(outcome, list) else ()), *cross_problems(document, folder)]
    problems += [problem for problem in found if problem.path not in unexpanded]
    if isinstance(outcome, list) or problems:
        raise SettingsError(list(dict.fromkeys(problems)))
    return outcome
