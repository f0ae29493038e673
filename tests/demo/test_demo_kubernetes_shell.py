"""The pods' shell: scripts in, output and exit status out; and that it reaches nothing but its own files."""

import asyncio
import io
import tarfile

import pytest

from proxy.demo.kubernetes.byte_queue import ByteQueue
from proxy.demo.kubernetes.file_system import CAPACITY, FileSystem
from proxy.demo.kubernetes.process import Session
from proxy.demo.kubernetes.shell import Shell
from proxy.demo.kubernetes.standard_streams import StandardStreams, Window

SHA256_OF_X = b"2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
DIRECTORIES = b"".join(b"drwxr-xr-x root root        0 %s\n" % name for name in (b"data", b"etc", b"root", b"tmp"))
ERRORS = (
    b"cat: /etc: Is a directory\n"
    b"sh: /etc: Is a directory\n"
    b"sh: /x/y: No such file or directory\n"
    b"ls: /x: No such file or directory\n"
)
FILES = {"/etc/motd": b"hello\nworld\n", "/data/a/b": b"deep"}


class Pod:
    """A session over files that stay from one command to the next."""

    def __init__(self) -> None:
        self.files = FileSystem(FILES)

    async def run(self, *command: str, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
        out, err, keys = bytearray(), bytearray(), ByteQueue()

        async def stdout(chunk: bytes) -> None:
            out.extend(chunk)

        async def stderr(chunk: bytes) -> None:
            err.extend(chunk)

        await keys.put(stdin)
        await keys.end()
        session = Session(self.files, {"NAME": "pod"}, Window(99, 33))
        code = await asyncio.wait_for(Shell(session, StandardStreams(stdout, stderr, keys)).execute(list(command)), 5)
        return code, bytes(out), bytes(err)


@pytest.mark.parametrize(
    ("script", "stdin", "expected"),
    [
        ("echo a  'b  c' \"d $NAME\" e\\ f '$NAME' ${NAME}s", b"", (0, b"a b  c d pod e f $NAME pods\n", b"")),
        ("cat; exit 7; echo never", b"in", (7, b"in", b"")),
        ("false && echo a || echo b; echo $?", b"", (0, b"b\n0\n", b"")),
        ("true || echo a\necho b # not this", b"", (0, b"b\n", b"")),
        ("echo out; echo err >&2", b"", (0, b"out\n", b"err\n")),
        ("{ 2>&1", b"", (127, b"sh: {: not found\n", b"")),
        ("cat /nowhere", b"", (1, b"", b"cat: /nowhere: No such file or directory\n")),
        ("cat /nowhere 2>/dev/null; echo $?", b"", (0, b"1\n", b"")),
        ("echo one >/tmp/f; echo two >>/tmp/f; cat </tmp/f; wc -l /tmp/f", b"", (0, b"one\ntwo\n2\n", b"")),
        ("cat </nowhere", b"", (1, b"", b"sh: /nowhere: No such file or directory\n")),
        ("cat /etc/motd | grep world | wc -c", b"", (0, b"6\n", b"")),
        ("cat | head -1", b"a\nb\nc\n", (0, b"a\n", b"")),
        ("tail -n 1", b"a\nb\nc\n", (0, b"c\n", b"")),
        ("tail -c+3", b"abcdef", (0, b"cdef", b"")),
        ("X=1; echo $X; cd /etc && pwd && ls", b"", (0, b"1\n/etc\nmotd\n", b"")),
        ("sh -c 'exit 3'; echo $?", b"", (0, b"3\n", b"")),
        ("echo 'echo nested' >/tmp/s; sh /tmp/s", b"", (0, b"nested\n", b"")),
        ("test -d /etc && [ -f /etc/motd ] && [ a = a ] && [ -d /nowhere ]", b"", (1, b"", b"")),
        ("mkdir -p /x/y && touch /x/y/z && rm -r /x && ls /x", b"", (1, b"", b"ls: /x: No such file or directory\n")),
        ("printenv NAME; stty size", b"", (0, b"pod\n33 99\n", b"")),
        ("echo 'open", b"", (2, b"", b'sh: syntax error: unexpected "\'"\n')),
        ("echo a |", b"", (2, b"", b"sh: syntax error: unexpected end of file\n")),
        ("tail -c+x", b"", (2, b"", b"tail: arguments are not understood\n")),
        ("sleep", b"", (1, b"", b"sleep: invalid time interval\n")),
        ("sleep 0; true; exit nonsense", b"", (2, b"", b"")),
        ("echo -n a; printf '%s-%d\\n' b 1; export Y=2 && printenv Y", b"", (0, b"ab-1\n2\n", b"")),
        ("echo a b | wc; echo none | grep some || grep world /etc/motd", b"", (0, b"1 2 4\nworld\n", b"")),
        ("tee /tmp/t | sha256sum; cat /tmp/t", b"x", (0, SHA256_OF_X + b"  -\nx", b"")),
        (
            "ls -l /etc; ls -l /; ls /etc/motd",
            b"",
            (0, b"-rw-r--r-- root root       12 motd\n" + DIRECTORIES + b"/etc/motd\n", b""),
        ),
        ("mkdir /etc", b"", (1, b"", b"mkdir: /etc: File exists\n")),
        ("mkdir /a/b", b"", (1, b"", b"mkdir: /a/b: No such file or directory\n")),
        ("mkdir -p /etc/motd/x", b"", (1, b"", b"mkdir: /etc/motd: File exists\n")),
        ("rm /etc", b"", (1, b"", b"rm: /etc: Is a directory\n")),
        ("rm /x", b"", (1, b"", b"rm: /x: No such file or directory\n")),
        ("rm -f /x; rm /etc/motd; ls /etc; rm -r /; pwd; ls /", b"", (0, b"/\n", b"")),
        ("cat /etc; echo >/etc; echo >/x/y; ls /x", b"", (1, b"", ERRORS)),
        (
            "ls /etc/motd/x; ls /data/a/b/c",
            b"",
            (1, b"", b"ls: /etc/motd/x: No such file or directory\nls: /data/a/b/c: No such file or directory\n"),
        ),
        ("cd /nowhere", b"", (2, b"", b"cd: can't cd to /nowhere\n")),
        ("[ -e /etc/motd ] && [ -n x ] && [ x ] && test -e /x", b"", (1, b"", b"")),
        ("env; hostname; id; uname; whoami", b"", (0, b"NAME=pod\n\nuid=0(root) gid=0(root) groups=0(root)\nLinux\nroot\n", b"")),
        ("help | wc -l; date | wc -w", b"", (0, b"1\n6\n", b"")),
        ("cat </dev/null; cat >/dev/null 2>&1", b"x", (0, b"", b"")),
    ],
)
async def test_scripts(script: str, stdin: bytes, expected: tuple[int, bytes, bytes]) -> None:
    assert await Pod().run("sh", "-c", script, stdin=stdin) == expected


async def test_without_arguments_the_shell_runs_its_input() -> None:
    assert await Pod().run("/bin/sh", stdin=b"cd /data\npwd\nexit 4\necho never\n") == (4, b"/data\n", b"")


@pytest.mark.parametrize("command", ["/usr/bin/python3", "/bin/busybox", "../bin/ls", "python3"])
async def test_programs_of_the_machine_are_out_of_reach(command: str) -> None:
    assert await Pod().run(command) == (127, b"", f"sh: {command}: not found\n".encode())


@pytest.mark.parametrize("path", ["/proc/self/environ", "/etc/passwd", "../../../etc/passwd", "//etc/passwd"])
async def test_files_of_the_machine_are_out_of_reach(path: str) -> None:
    code, out, err = await Pod().run("cat", path)
    assert (code, out) == (1, b"")
    assert b"No such file or directory" in err


async def test_shells_in_shells_end() -> None:
    pod = Pod()
    await pod.run("sh", "-c", "echo 'sh /tmp/loop' >/tmp/loop")
    code, _, err = await pod.run("sh", "/tmp/loop")
    assert (code, err) == (2, b"sh: too many shells in shells\n")


async def test_files_have_a_bound() -> None:
    pod = Pod()
    pod.files.write("/tmp/big", bytes(CAPACITY - 100))
    assert await pod.run("sh", "-c", "cat >/tmp/more", stdin=bytes(200)) == (1, b"", b"cat: /tmp/more: No space left on device\n")


def archive_of(*members: tuple[str, bytes, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, kind, content in members:
            member = tarfile.TarInfo(name)
            member.type, member.size, member.linkname = kind, len(content), "/etc/motd"
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


async def test_tar_brings_files_in_and_out() -> None:
    pod = Pod()
    code, packed, _ = await pod.run("tar", "cf", "-", "/data")
    assert code == 0
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        assert archive.getnames() == ["data", "data/a", "data/a/b"]
    for options in (("-xmf", "-", "-C", "/tmp"), ("xf", "-", "--no-same-owner", "-C", "/root")):
        assert await pod.run("tar", *options, stdin=packed) == (0, b"", b"")
    assert pod.files.read("/tmp/data/a/b") == pod.files.read("/root/data/a/b") == b"deep"


async def test_tar_stays_in_its_directory_and_makes_no_links() -> None:
    pod = Pod()
    members = (
        ("../../etc/motd", tarfile.REGTYPE, b"changed"),
        ("/inside", tarfile.REGTYPE, b"inside"),
        ("a/../../up", tarfile.REGTYPE, b"up"),
        ("link", tarfile.SYMTYPE, b""),
        ("hard", tarfile.LNKTYPE, b""),
    )
    assert await pod.run("tar", "xf", "-", "-C", "/tmp", stdin=archive_of(*members)) == (0, b"", b"")
    assert list(pod.files.walk("/tmp")) == ["/tmp", "/tmp/inside"]
    assert pod.files.read("/etc/motd") == FILES["/etc/motd"]


@pytest.mark.parametrize(
    ("arguments", "stdin", "code"),
    [
        (("xf", "-"), b"no archive" * 100, 2),
        (("xf", "-", "-C", "/nowhere"), b"", 2),
        (("cf", "-", "/nowhere"), b"", 2),
        (("tf", "-"), b"", 2),
    ],
)
async def test_tar_refuses(arguments: tuple[str, ...], stdin: bytes, code: int) -> None:
    ended, _, err = await Pod().run("tar", *arguments, stdin=stdin)
    assert ended == code
    assert err.startswith(b"tar: ")
