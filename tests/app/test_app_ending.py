"""The one line that says why a process does not serve."""

import pytest

from proxy.app.ending import in_one_line


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (FileNotFoundError(2, "No such file or directory", "tls.crt"), "tls.crt: No such file or directory"),
        (OSError(98, "Address already in use"), "[Errno 98] Address already in use"),
        (RuntimeError("two\nlines"), "two lines"),
    ],
)
def test_what_prevents_the_start_is_one_line(error, line):
    assert in_one_line(error) == line
