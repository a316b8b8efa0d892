"""Logs of a made-up shop with an incident in them: the files, and the line that began it.

`write(folder, seed, kind, megabytes)` makes a day of logs of several hosts and services, some of
them compressed, one an export of journald. The same arguments make the same bytes. Ordinary
warnings and errors, deploys and a harmless failure earlier in the day are in every log.
"""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from heapq import merge
from pathlib import Path
from typing import BinaryIO, cast

QUESTION = "What broke first, when, and what did it affect?"
KINDS = ("disk", "memory", "config", "certificate", "lock")
DAY = datetime(2026, 11, 27, tzinfo=UTC)
_HOURS = 14
_PATHS = ("/cart", "/orders", "/login", "/items", "/search", "/checkout")
_USERS = ("ann", "bob", "eve", "joe", "kim", "lea", "max", "zoe")


@dataclass(frozen=True)
class Truth:
    """The first cause: its minute ("2026-11-27 11:42"), a text of its line, and its kind."""

    kind: str
    minute: str
    text: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class _Line:
    when: datetime
    file: str
    host: str
    program: str
    level: str
    message: str


class _Day:
    """One day: the lines, the random numbers, and the hosts of this seed."""

    def __init__(self, seed: int, kind: str) -> None:
        self.random = random.Random(f"{seed} {kind}")
        pick = self.random.choice
        self.webs = [f"{pick(('web', 'app', 'fe'))}-{n}" for n in (1, 2, 3)]
        self.worker = pick(("worker-1", "jobs-2", "batch-1"))
        self.db = pick(("db-1", "pg-2", "sql-1"))
        self.edge = pick(("lb-1", "edge-1"))
        self.pay = pick(("pay-1", "billing-1"))
        self.begin = DAY + timedelta(hours=self.random.randrange(8, 12), minutes=pick(range(60)))
        self.lines: list[_Line] = []

    def add(self, after: float, place: str, level: str, message: str) -> None:
        """Add a line `after` seconds from the cause; `place` is "host/program"."""
        host, program = place.split("/")
        when = self.begin + timedelta(seconds=after)
        self.lines.append(_Line(when, place, host, program, level, message))

    def many(self, after: float, minutes: int, rate: float, place: str, level: str, *texts: str):
        """Add `rate` lines a minute for `minutes`, with numbers and ids filled in."""
        at = after
        while at < after + minutes * 60:
            self.add(at, place, level, self.fill(self.random.choice(texts)))
            at += self.random.expovariate(rate / 60)

    def fill(self, text: str) -> str:
        """Fill in {n} (a number), {id}, {user} and {path}."""
        r = self.random
        return (
            text.replace("{n}", str(r.randrange(10, 9999)))
            .replace("{id}", f"{r.getrandbits(48):012x}")
            .replace("{user}", r.choice(_USERS))
            .replace("{path}", r.choice(_PATHS))
        )


def write(folder: Path, seed: int, kind: str, megabytes: float = 2.0) -> Truth:
    """Write the logs below `folder`, and return what the first cause is."""
    day = _Day(seed, kind)
    cause = {
        "disk": _disk,
        "memory": _memory,
        "config": _config,
        "certificate": _certificate,
        "lock": _lock,
    }[kind](day)
    _noise(day)
    _decoys(day)
    files = _files(folder, day, megabytes)
    return Truth(kind, day.begin.strftime("%Y-%m-%d %H:%M"), cause, tuple(files))


def _disk(day: _Day) -> str:
    cause = day.random.choice(
        (
            "EXT4-fs error (device sdb1): ext4_wait_block_bitmap: comm postgres: bad block bitmap",
            "blk_update_request: I/O error, dev sdb, sector 7281664 op 0x1:(WRITE)",
            "EXT4-fs warning (device sdb1): ext4_end_bio: I/O error 10 writing to inode 2621443",
        )
    )
    kernel, postgres = f"{day.db}/kernel", f"{day.db}/postgres"
    day.add(0, kernel, "", cause)
    after = day.random.randrange(40, 240)
    day.add(after, kernel, "", "EXT4-fs (sdb1): Remounting filesystem read-only")
    panic = 'could not write to file "pg_wal/xlogtemp.77": Read-only file system'
    day.add(after + 3, postgres, "PANIC", panic)
    _database_down(day, after + 5)
    return cause


def _memory(day: _Day) -> str:
    victim = day.random.choice(("postgres", "redis-server"))
    cause = day.random.choice(
        (
            f"Out of memory: Killed process 2214 ({victim}) total-vm:8123456kB, anon-rss:701234kB",
            f"Memory cgroup out of memory: Killed process 2214 ({victim}) total-vm:8123456kB",
            f"oom-kill:constraint=CONSTRAINT_NONE,task={victim},pid=2214,uid=113",
        )
    )
    kernel = f"{day.db}/kernel"
    day.many(-5400, 80, 0.25, kernel, "", "perf: interrupt took too long ({n} > 2500)")
    day.add(0, kernel, "", cause)
    end = f"{victim}.service: Main process exited, code=killed, status=9/KILL"
    day.add(4, f"{day.db}/systemd", "", end)
    _database_down(day, day.random.randrange(8, 90))
    return cause


def _database_down(day: _Day, after: float) -> None:
    for web in day.webs:
        day.many(
            *(after + day.random.random() * 50, 35, 40, f"{web}/api", "ERROR"),
            f"request {{id}} {{path}} failed: connection to {day.db}:5432 refused",
            f"cannot reach {day.db}:5432 user={{user}}: Connection refused",
        )
    upstream = f'upstream: "http://{day.webs[0]}:8080{{path}}"'
    text = f"upstream prematurely closed connection, {upstream}"
    day.many(after + 60, 34, 50, f"{day.edge}/nginx", "error", text)


_SLOW_UPSTREAM = (
    "upstream timed out (110: Connection timed out) while reading response header,"
    " request: GET {path}"
)


def _config(day: _Day) -> str:
    cause = day.random.choice(
        (
            "configuration reloaded: db.pool.max_size changed from 50 to 5",
            "applied config revision 8c1f: pool_size=5 (was 50)",
            "setting db_pool_limit updated by ops: 50 -> 5",
        )
    )
    for n, each in enumerate(day.webs):
        day.add(n * 0.4, f"{each}/api", "INFO", cause)
    after = day.random.randrange(120, 600)
    warning = "connection pool nearly exhausted: 5 of 5 in use, {n} waiting"
    day.many(after, 3, 4, f"{day.webs[1]}/api", "WARN", warning)
    failed = "request {id} {path} failed: timeout waiting for a connection from the pool ({n} ms)"
    for each in day.webs:
        begin = after + 120 + day.random.random() * 40
        day.many(begin, 30, 45, f"{each}/api", "ERROR", failed)
    day.many(after + 180, 29, 40, f"{day.edge}/nginx", "error", _SLOW_UPSTREAM)
    return cause


def _certificate(day: _Day) -> str:
    cause = day.random.choice(
        (
            "TLS handshake with bank.example.net:443 failed: certificate has expired",
            "x509: certificate for bank.example.net has expired or is not yet valid",
            "certificate verify failed (certificate has expired) peer=bank.example.net",
        )
    )
    payments = f"{day.pay}/payments"
    day.add(0, payments, "ERROR", cause)
    day.many(3, 40, 5, payments, "ERROR", cause)
    day.many(20, 40, 12, payments, "WARN", "payment {id} queued for retry, backlog {n}")
    after = day.random.randrange(60, 400)
    failed = f"checkout {{id}} for user={{user}} failed: payments at {day.pay} answered 503"
    for web in day.webs:
        day.many(after + day.random.random() * 60, 35, 35, f"{web}/api", "ERROR", failed)
    return cause


def _lock(day: _Day) -> str:
    cause = day.random.choice(
        (
            "job 20261127_add_index started: ALTER TABLE orders ADD COLUMN region text",
            "migration 0042_orders_region started (ALTER TABLE orders)",
            "running VACUUM FULL orders, scheduled by maintenance",
        )
    )
    day.add(0, f"{day.worker}/migrate", "INFO", cause)
    after = day.random.randrange(30, 200)
    waits = "process {n} still waiting for AccessShareLock on relation orders after 1000.123 ms"
    day.many(after, 30, 6, f"{day.db}/postgres", "LOG", waits)
    failed = "request {id} {path} failed: canceling statement due to statement timeout (orders)"
    for web in day.webs:
        begin = after + 100 + day.random.random() * 60
        day.many(begin, 28, 35, f"{web}/api", "ERROR", failed)
    day.many(after + 160, 27, 30, f"{day.edge}/nginx", "error", _SLOW_UPSTREAM)
    return cause


def _noise(day: _Day) -> None:
    """Warnings and errors that come all day and mean nothing."""
    start = (DAY - day.begin).total_seconds() + 60

    def all_day(rate: float, place: str, level: str, *texts: str) -> None:
        day.many(start, _HOURS * 60 - 3, rate, place, level, *texts)

    for web in day.webs:
        closed = "request {id} {path} failed: client closed connection"
        all_day(0.4, f"{web}/api", "ERROR", closed, "invalid token for user={user}")
        slow = "slow query {n} ms on orders"
        all_day(0.6, f"{web}/api", "WARN", slow, "cache miss storm on key item:{n}")
    bounced = "mail {id} to {user}@example.org bounced: mailbox unavailable"
    all_day(0.3, f"{day.worker}/mailer", "ERROR", bounced)
    guessed = "Failed password for invalid user {user} from 203.0.113.{n} port {n}"
    all_day(0.5, f"{day.edge}/sshd", "", guessed)
    all_day(0.2, f"{day.db}/postgres", "LOG", "checkpoint complete: wrote {n} buffers")
    all_day(0.1, f"{day.pay}/payments", "WARN", "bank answered slowly: {n} ms")


def _decoys(day: _Day) -> None:
    """Events that look like causes, hours or an hour before, and in services without a part."""
    r = day.random
    for hours in (1.2, 2.6, 5.0):
        version = f"3.{r.randrange(20)}.{r.randrange(9)}"
        at = -3600 * (hours + r.random() * 0.3)
        for n, web in enumerate(day.webs):
            day.add(at + n, f"{web}/api", "INFO", f"deployed version {version}")
    smtp = "cannot connect to smtp.example.org: timed out, giving up"
    day.add(-3600 * (3 + r.random()), f"{day.worker}/mailer", "ERROR", smtp)
    reports = f"{day.worker}/reports"
    at = -3600 * (4 + r.random())
    day.many(at, 6, 12, reports, "ERROR", "report {id} failed: division by zero")
    rotate = "(root) CMD (/usr/local/bin/rotate-logs)"
    day.add(-60 * r.randrange(20, 50), f"{day.edge}/cron", "", rotate)
    full = "disk usage of /var/reports at 81%"
    day.add(-60 * r.randrange(25, 90), reports, "WARN", full)


_ORDINARY = (
    "GET {path} 200 {n} ms request={id}",
    "GET {path} 200 {n} ms request={id}",
    "POST {path} 201 {n} ms request={id} user={user}",
    "cache hit key=item:{n}",
    "session {id} opened for user={user}",
)


def _ordinary(day: _Day, place: str, megabytes: float) -> Iterator[_Line]:
    """Ordinary lines of a service, spread over the day."""
    size = int(megabytes * 1_000_000 / 95)
    step = timedelta(hours=_HOURS) / max(size, 1)
    texts = [day.fill(day.random.choice(_ORDINARY)) for _ in range(5000)]
    chance, host, _, program = day.random.random, *place.partition("/")
    for number in range(size):
        text = texts[int(chance() * len(texts))]
        yield _Line(DAY + number * step, place, host, program, "INFO", text)


def _files(folder: Path, day: _Day, megabytes: float) -> list[str]:
    """Write one file for each host and program; return their names."""
    places: dict[str, list[_Line]] = {}
    for line in sorted(day.lines, key=lambda line: line.when):
        places.setdefault(line.file, []).append(line)
    busy = [place for place in places if place.endswith(("/api", "/nginx"))]
    names = []
    for place, lines in sorted(places.items()):
        program = place.partition("/")[2]
        form = _FORMS.get(program, _python)
        name = f"{place}{_SUFFIXES.get(program, '.log')}"
        share = megabytes / len(busy) if place in busy else megabytes / 200
        ordinary = () if form is _export else _ordinary(day, place, share)
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with _opened(path) as file:
            file.writelines(
                form(line).encode() for line in merge(lines, ordinary, key=lambda line: line.when)
            )
        names.append(name)
    return names


def _opened(path: Path) -> BinaryIO:
    if path.suffix == ".gz":
        return cast("BinaryIO", gzip.GzipFile(path, "wb", compresslevel=1, mtime=0))
    return path.open("wb")


def _python(line: _Line) -> str:
    stamp = f"{line.when:%Y-%m-%d %H:%M:%S},{line.when.microsecond // 1000:03}"
    return f"{stamp} {line.level or 'INFO'} shop.{line.program}: {line.message}\n"


def _syslog(line: _Line) -> str:
    level = f"{line.level}:  " if line.level not in ("", "INFO") else ""
    stamp = f"{line.when:%b} {line.when.day:>2} {line.when:%H:%M:%S}"
    return f"{stamp} {line.host} {line.program}[812]: {level}{line.message}\n"


def _nginx(line: _Line) -> str:
    stamp = f"{line.when:%Y/%m/%d %H:%M:%S}"
    return f"{stamp} [{line.level.lower()}] 31#31: *{line.when.microsecond} {line.message}\n"


def _json(line: _Line) -> str:
    entry = {
        "ts": f"{line.when:%Y-%m-%dT%H:%M:%S}.{line.when.microsecond // 1000:03}Z",
        "level": line.level.lower(),
        "host": line.host,
        "service": line.program,
        "msg": line.message,
    }
    return json.dumps(entry) + "\n"


def _export(line: _Line) -> str:
    micros = int(line.when.timestamp() * 1e6)
    return (
        f"__CURSOR=s=1;i={micros:x}\n__REALTIME_TIMESTAMP={micros}\n_TRANSPORT=kernel\n"
        f"PRIORITY=4\nSYSLOG_IDENTIFIER=kernel\n_HOSTNAME={line.host}\nMESSAGE={line.message}\n\n"
    )


_FORMS = {
    "kernel": _export,
    "nginx": _nginx,
    "payments": _json,
    **dict.fromkeys(("sshd", "cron", "systemd", "postgres"), _syslog),
}
_SUFFIXES = {"kernel": ".export", "nginx": ".log.gz", "postgres": ".log.gz"}


def judged(folder: Path, truth: Truth, data: dict) -> dict:
    """Whether the cause and its minute are right, and whether all quotes stand in the logs."""
    cause = (data["incident"] or {}).get("cause") or {}
    text = "\n".join(_lines(folder / name) for name in data["files"])
    events = [*data["incident"]["candidates"], *data["incident"]["course"]] if cause else []
    quotes = [event["text"] for event in events]
    answer = data.get("answer", "")
    quotes += [m[1] or m[2] for m in re.finditer(r"`([^`\n]+)`|\"([^\"\n]+)\"", answer)]
    true = all(_stands(quote, text) for quote in quotes)
    right = cause.get("minute") == truth.minute and truth.text in cause.get("text", "")
    row = {"kind": truth.kind, "right": right, "quotes": true, "minute": truth.minute}
    return {**row, "cause": cause.get("text", "")[:120], "answer": answer}


def _stands(quote: str, text: str) -> bool:
    """Whether a quote stands in the logs; a line of a journald export without its head does."""
    return quote in text or quote.partition("kernel: WARNING ")[2] in text


def _lines(path: Path) -> str:
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
