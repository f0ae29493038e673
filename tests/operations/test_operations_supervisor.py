"""The supervisor with workers that do as they are told by the test; real ones are in tests/app/test_app_supervising.py."""

import pytest
from operations_forking import outcome

PROGRAM = """
import asyncio, logging, os, socket, sys, time
from proxy.operations.supervisor import SupervisorError, Supervisor
from proxy.operations.supervisor_channel import Beat, Channel, Failed, Order, Ordered, Reloaded, Serving
from proxy.operations.supervisor_fork_server import fork_server
from proxy.operations.supervisor_rules import Pace

def tell(line):
    os.write(1, f"{line}\\n".encode())  # whole, beside other processes

class Source:
    made = refreshed = 0

    def prepare(self):
        self.made += 1

    def refresh(self):
        self.refreshed += 1

    def run(self, slot, channel):
        return asyncio.run(self._run(slot, channel))

    async def _run(self, slot, sock):
        orders = asyncio.Queue()
        channel = Channel(orders.put_nowait)
        await channel.open(sock)
        status = await BEHAVIOUR(self, slot, channel, orders)
        await channel.close()
        return status

async def obedient(source, slot, channel, orders):
    channel.send(Serving())
    while (message := await orders.get()) not in (Ordered(Order.DRAIN), Ordered(Order.HURRY)):
        tell(f"{slot} {message.order.value}")
    tell(f"{slot} {message.order.value}")
    return 0

async def fails_in_slot_2(source, slot, channel, orders):
    if slot == 1:
        return await obedient(source, slot, channel, orders)
    channel.send(Failed("tls.key: Permission denied"))
    return 1

async def breaks_at_once(source, slot, channel, orders):
    os.kill(os.getpid(), 11)

async def starts_for_ever(source, slot, channel, orders):
    await asyncio.sleep(60)

async def falls_silent_once(source, slot, channel, orders):
    if source.made == 1:
        channel.send(Serving())
        time.sleep(60)
    return await obedient(source, slot, channel, orders)

async def ends_soon(source, slot, channel, orders):
    channel.send(Serving())
    return 5

async def reloads_and_ends_once(source, slot, channel, orders):
    if source.made > 1:
        tell(f"refreshed {source.refreshed}")
        return await obedient(source, slot, channel, orders)
    channel.send(Serving())
    channel.send(Reloaded())
    await asyncio.sleep(0.1)
    return 0

async def script(supervisor):
    SCRIPT

async def main(orders, listeners):
    global supervisor
    pace = Pace(beat_seconds=0.02, silent_looks=10, starting_looks=30, first_delay_seconds=0.01, longest_delay_seconds=0.08)
    started = asyncio.Event()
    supervisor = Supervisor(listeners, orders, started.set, pace)
    supervisor.all_serve = started
    async with asyncio.TaskGroup() as group:
        scripted = group.create_task(script(supervisor))
        try:
            await supervisor.run()
        except SupervisorError as error:
            tell(f"cannot start: {error}")
            scripted.cancel()
    for listener in listeners:
        tell(f"listens {listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)}")

logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(int(sys.argv[1]))]
with fork_server(Source(), 1) as orders:
    asyncio.run(main(orders, listeners))
"""


def run(behaviour: str, workers: int, script: str) -> tuple[list[str], list[str]]:
    """Run a supervisor; `script` is what an operator does."""
    program = PROGRAM.replace("BEHAVIOUR", behaviour).replace("SCRIPT", script.strip().replace("\n", "\n    "))
    lines, log = outcome(program, str(workers))
    return lines, log.splitlines()


def test_orders_reach_all_and_a_slot_listens_no_more_once_the_end_is_ordered():
    lines, log = run(
        "obedient",
        2,
        """
await supervisor.all_serve.wait()
supervisor.reload()
supervisor.stop()
supervisor.stop()
""",
    )
    assert sorted(lines[:4]) == ["1 drain", "1 reload", "2 drain", "2 reload"]
    assert lines[4:] == ["listens 0", "listens 0"]
    assert len([line for line in log if line.endswith("ended with status 0")]) == 2


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ("fails_in_slot_2", "worker 2: tls.key: Permission denied"),
        ("breaks_at_once", "was ended by SIGSEGV"),
        ("starts_for_ever", "was ended by SIGKILL"),
    ],
)
def test_what_prevents_the_first_worker_of_a_slot_prevents_the_start(behaviour, reason):
    lines, log = run(behaviour, 2, "await asyncio.sleep(60)")
    (line,) = [line for line in lines if line.startswith("cannot start: worker ")]
    assert line.endswith(reason)
    assert [line for line in log if not line.endswith("is silent: killed")] == [], "the reason is the one line to be read"


def test_a_worker_that_falls_silent_is_killed_and_replaced():
    lines, log = run(
        "falls_silent_once",
        1,
        """
while not (supervisor.slots[0].restarts and supervisor.slots[0].serving):
    await asyncio.sleep(0.01)
supervisor.stop()
""",
    )
    assert lines == ["1 drain", "listens 0"]
    silent, replaced, again, _ = log
    assert silent.startswith("worker 1 (process ")
    assert silent.endswith(") is silent: killed")
    assert replaced.endswith("was ended by SIGKILL; another one follows in 0.0 s")
    assert again == "worker 1 serves again"


def test_a_worker_that_ends_again_and_again_is_waited_for_longer_and_longer_and_the_end_waits_for_nothing():
    _, log = run(
        "ends_soon",
        1,
        """
began = time.monotonic()
while supervisor.slots[0].restarts < 5:
    await asyncio.sleep(0.001)
assert time.monotonic() - began > 0.01 + 0.02 + 0.04 + 0.08
supervisor.stop()
""",
    )
    assert len([line for line in log if "ended with status 5; another one follows" in line]) == 5


def test_what_one_has_taken_over_is_refreshed_for_those_to_come():
    lines, _ = run(
        "reloads_and_ends_once",
        1,
        """
while not (supervisor.slots[0].restarts and supervisor.slots[0].serving):
    await asyncio.sleep(0.01)
supervisor.stop()
""",
    )
    assert lines == ["refreshed 1", "1 drain", "listens 0"]
