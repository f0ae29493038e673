"""How a process that serves ends: in order, or with one line that says why not."""

import logging

from proxy.app.running import RunningProxy

log = logging.getLogger("mosk_proxy")


async def drain(proxy: RunningProxy) -> None:
    """Finish what is under way, within the time limits in force."""
    timeouts = proxy.reloader.settings.timeouts
    log.info("draining: %s s of service, then at most %s s", timeouts.drain_delay_seconds, timeouts.drain_seconds)
    await proxy.edge.drain(timeouts.drain_delay_seconds, timeouts.drain_seconds)


def in_one_line(error: Exception) -> str:
    """Word what prevents a start, naming the file where there is one."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split())
