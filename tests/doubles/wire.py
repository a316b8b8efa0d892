"""A network with a sniffer on it, for programs that must not use any.

`sniffed` runs commands in a network namespace that looks like a machine with a network: an
interface (one end of a veth pair) with addresses, default routes and a name server, all leading to
the pair's other end, where nobody is. Everything that leaves the interface is recorded by a packet
socket. First it is proved that the sniffer sees what there is to see.

This file is also the program that does so, inside the namespace; there it uses the standard library
alone.
"""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

_ALL = 0x0003  # ETH_P_ALL
_QUIET = 1.0  # seconds without a packet after which the kernel has said what it says by itself
_AFTER = 0.5  # seconds in which what a command has sent may still come
_READS = 1.5  # seconds before a key: a question takes no key that was typed before it was read
_NOBODY = ["unshare", "--user", "--map-user=65534", "--map-group=65534", "--"]
_SETUP = """
ip link set lo up
ip link add wire0 type veth peer name wire1
for name in wire0 wire1; do
    sysctl -q -w net.ipv6.conf.$name.accept_ra=0 net.ipv6.conf.$name.router_solicitations=0 \
        net.ipv6.conf.$name.accept_dad=0 net.ipv6.conf.$name.addr_gen_mode=1
    ip link set $name up
done
ip address add 10.99.0.2/24 dev wire0
ip address add 2001:db8::2/64 dev wire0 nodad
there=$(ip -o link show wire1 | sed 's/.*ether //;s/ .*//')
ip neighbour add 10.99.0.1 lladdr $there dev wire0 nud permanent
ip neighbour add 2001:db8::1 lladdr $there dev wire0 nud permanent
ip route add default via 10.99.0.1
ip -6 route add default via 2001:db8::1
echo 'nameserver 10.99.0.1
options timeout:1 attempts:1' > "$1"
mount --bind "$1" "$(readlink -f /etc/resolv.conf)"
"""


@dataclass(frozen=True, slots=True)
class Job:
    """A command to run. With `keys` it gets a terminal, on which these are typed, each when what is
    drawn holds the text that it waits for."""

    argv: list[str]
    env: dict[str, str] = field(default_factory=dict)
    keys: list[tuple[str, str]] = field(default_factory=list)
    seconds: float = 120.0


@dataclass(frozen=True, slots=True)
class Sniffed:
    """How a command ended, and the packets that left meanwhile, as text."""

    code: int
    out: str
    err: str
    packets: list[str]


def sniffed(
    jobs: Sequence[Job],
    cwd: Path,
    env: Mapping[str, str],
    *,
    ordinary: bool = False,
) -> tuple[list[Sniffed], list[str]]:
    """What came of each job, in order, and the packets of the control. `ordinary`: as a user
    without powers. Raises OSError, with what is missing, where there can be no such network."""
    unshare = shutil.which("unshare")
    if sys.platform != "linux" or unshare is None or shutil.which("ip") is None:
        raise OSError("needs Linux, unshare and ip")
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    content = {"jobs": [asdict(job) for job in jobs], "cwd": str(cwd), "ordinary": ordinary}
    done = subprocess.run(
        [unshare, *user, "--net", "--mount", sys.executable, "-P", __file__],
        input=json.dumps(content),
        env=dict(env),
        capture_output=True,
        text=True,
        timeout=sum(job.seconds for job in jobs) + 60,
    )
    if done.returncode:
        raise OSError(done.stderr.strip().rpartition("\n")[2] or "no such network here")
    report = json.loads(done.stdout)
    return [Sniffed(**item) for item in report["jobs"]], report["control"]


class _Sniffer:
    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
        self._socket.bind(("wire0", 0))

    def packets(self, seconds: float) -> list[str]:
        """Those that have come, once `seconds` have passed without one."""
        found = []
        while select.select([self._socket], [], [], seconds)[0]:
            data, address = self._socket.recvfrom(65536)
            if address[2] == socket.PACKET_OUTGOING:
                found.append(_described(data))
        return found


def _described(data: bytes) -> str:
    (kind,) = struct.unpack("!H", data[12:14])
    if kind == 0x0800 and len(data) >= 34:
        return f"IPv4 protocol {data[23]} to {socket.inet_ntop(socket.AF_INET, data[30:34])}"
    if kind == 0x86DD and len(data) >= 54:
        return f"IPv6 next {data[20]} to {socket.inet_ntop(socket.AF_INET6, data[38:54])}"
    return f"ethertype {kind:#06x}, {len(data)} bytes"


def _main() -> int:
    work = json.load(sys.stdin)
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            ["sh", "-ec", _SETUP, "sh", f"{folder}/resolv.conf"], capture_output=True, text=True
        )
        if done.returncode:
            sys.stderr.write(done.stderr)
            return 1
        sniffer = _Sniffer()
        sniffer.packets(_QUIET)
        reach = str(Path(__file__).with_name("reach.py"))
        _run(Job([sys.executable, reach]), work)
        control = sniffer.packets(_AFTER)
        found = []
        for job in work["jobs"]:
            ended = _run(Job(**job), work)
            found.append({**ended, "packets": sniffer.packets(_AFTER)})
    json.dump({"jobs": found, "control": control}, sys.stdout)
    return 0


def _run(job: Job, work: dict[str, Any]) -> dict[str, Any]:
    argv = [*(_NOBODY if work["ordinary"] else []), *job.argv]
    env = {**os.environ, **job.env}
    if job.keys:
        return _in_terminal(job, argv, env, work["cwd"])
    try:
        done = subprocess.run(
            argv,
            cwd=work["cwd"],
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=job.seconds,
        )
    except subprocess.TimeoutExpired as error:
        return {"code": -1, "out": str(error.stdout), "err": f"not done in {job.seconds} s"}
    return {"code": done.returncode, "out": done.stdout, "err": done.stderr}


def _in_terminal(job: Job, argv: list[str], env: dict[str, str], cwd: str) -> dict[str, Any]:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        argv, cwd=cwd, env=env, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    drawn, since, keys = "", 0, list(job.keys)
    until = time.monotonic() + job.seconds
    while time.monotonic() < until:
        if select.select([ours], [], [], 0.1)[0]:
            try:
                data = os.read(ours, 65536)
            except OSError:  # the other side is closed
                break
            drawn += data.decode(errors="replace")
        if keys and keys[0][0] in drawn[since:]:
            since = len(drawn)
            time.sleep(_READS)
            os.write(ours, keys.pop(0)[1].encode())
    if process.poll() is None and time.monotonic() >= until:
        process.kill()
    code = process.wait()
    os.close(ours)
    return {"code": code, "out": drawn, "err": "" if not keys else f"not typed: {keys}"}


if __name__ == "__main__":
    sys.exit(_main())
