"""Faults for the long trial: kills, signals, a full disk, damaged files, an outage, a shifted clock."""

from __future__ import annotations

import hashlib
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from derlem.catalog.connection import read_catalog
from derlem.core.workspace import Workspace

COMMANDS: dict[tuple[str, ...], int] = {
    ("run",): 14,
    ("discover",): 3,
    ("ingest",): 6,
    ("refresh",): 2,
    ("retry",): 1,
    ("sample",): 2,
    ("build",): 4,
    ("audit",): 2,
    ("status",): 1,
    ("hosts",): 1,
    ("sql", "FROM composition"): 1,
    ("withdraw", "--where", "uri = 'nothing'"): 1,
    ("catalog", "compact"): 2,
    ("catalog", "rebuild"): 2,
    ("catalog", "repair"): 1,
}
"""Every command that works on a workspace, with its weight."""

SHIFTED_CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
static long shift(void) { const char *s = getenv("CLOCK_SHIFT"); return s ? atol(s) : 0; }
int clock_gettime(clockid_t id, struct timespec *t) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int code = real(id, t);
    if (!code && id == CLOCK_REALTIME) t->tv_sec += shift();
    return code;
}
time_t time(time_t *out) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    if (out) *out = t.tv_sec;
    return t.tv_sec;
}
int gettimeofday(struct timeval *t, void *zone) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    t->tv_sec = now.tv_sec;
    t->tv_usec = now.tv_nsec / 1000;
    return 0;
}
"""

SIGNALS = ("interrupt", "interrupt group", "terminate", "hang up")
"""Faults that end a command in order, once it has installed its handlers."""

STARTED = Callable[["Trial", "subprocess.Popen[str]"], object]


@dataclass
class Ended:
    """A command that ended: its exit code and its messages."""

    code: int
    messages: str


@dataclass
class Trial:
    """Runs commands on a workspace under faults, and follows the advice of their messages."""

    config: Path
    chance: random.Random
    clock: Path | None = None
    outage: Callable[[float], None] = lambda seconds: None
    counts: Counter[str] = field(default_factory=Counter)
    kept: list[str] = field(default_factory=list)
    faults: int = 0
    seconds: dict[tuple[str, ...], float] = field(default_factory=dict)
    """How long each command took when nothing disturbed it, the last time."""

    @property
    def workspace(self) -> Workspace:
        """The workspace under trial."""
        return Workspace(self.config.parent / self.config.stem)

    def start(self, *arguments: str, largest: int | None = None, shift: int = 0) -> subprocess.Popen[str]:
        """Start a command in a group of its own, with a limit of file sizes or a shifted clock."""
        env = {**os.environ, "PYTHONFAULTHANDLER": "1"}
        if shift:
            env |= {"LD_PRELOAD": str(self.clock), "CLOCK_SHIFT": str(shift)}
        limit = None
        if largest is not None:

            def limit() -> None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))

        return subprocess.Popen(
            [sys.executable, "-m", "derlem", "-c", str(self.config), *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=env,
            preexec_fn=limit,
        )

    def end(self, process: subprocess.Popen[str], fault: str, arguments: Sequence[str]) -> Ended:
        """Wait for the command; its end must be one that a user understands."""
        try:
            _, messages = process.communicate(timeout=180)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGABRT)
            _, messages = process.communicate()
            raise AssertionError(f"{arguments} hangs after {fault}:\n{messages}") from None
        code = process.returncode
        self.counts[f"{fault}: {code}"] += 1
        error = [line[:160] for line in messages.splitlines() if line.startswith("Error: ")]
        self.kept.append(f"{' '.join(arguments)} | {fault} | {code} {error or ''}")
        clean = "Traceback" not in messages and "Fatal Python error" not in messages
        expected = code in (0, 1, 2, 3, 129, 130, 143) or (
            code == -signal.SIGKILL and fault.startswith("kill")
        )
        if not (clean and expected):
            raise AssertionError(f"{arguments} after {fault} ends with {code}:\n{messages}")
        return Ended(code, messages)

    def command(self, *arguments: str) -> Ended:
        """Run a command without a fault."""
        return self.end(self.start(*arguments), "none", arguments)

    def complete(self) -> None:
        """Run until nothing is left, following the advice of each error as a user would."""
        for _ in range(12):
            done = self.command("run")
            if done.code == 0 and not re.search(r"left for a run|given up", done.messages):
                return
            self.follow_advice(done)
        raise AssertionError(f"no run is complete:\n{done.messages}")

    def follow_advice(self, done: Ended, steps: int = 3) -> None:
        """Do what the messages of a failed command advise, and what the advised command advises."""
        for name in ("ledger.sqlite", "catalog.duckdb"):
            if f"remove {name}*" in done.messages:
                for path in self.workspace.root.glob(f"{name}*"):
                    path.unlink()
                return
        for advised in ("repair", "rebuild"):
            if f"catalog {advised}" in done.messages:
                after = self.command("catalog", advised)
                if after.code and steps:
                    self.follow_advice(after, steps - 1)
                return
        if re.search(r"left for a run|given up", done.messages):
            self.command("retry")
        else:
            self.command("audit")

    def moment(self, arguments: Sequence[str]) -> float:
        """A random time within a command, in seconds."""
        return self.chance.uniform(0.0, self.seconds.get(tuple(arguments), 1.5))


Outcome = tuple[list[tuple[object, ...]], list[tuple[object, ...]]]
"""Shards and items, as rows."""


def outcome(workspace: Workspace) -> Outcome:
    """The hashes of all shards, and what the catalog knows of every item but times, places and attempts."""
    with read_catalog(workspace) as connection:
        shards = connection.execute("SELECT corpus, shard, sha256 FROM shards ORDER BY ALL").fetchall()
        items = connection.execute(
            "SELECT item_id, source, uri, locator, category, status, reason, sha256, original_sha256, dhash,"
            " width, height, bytes, caption, language, license FROM items ORDER BY ALL"
        ).fetchall()
    return shards, items


def members(workspace: Workspace) -> set[tuple[str, str, str]]:
    """Corpus, member and content (records as text, images as hashes) of everything in the shards."""
    found = set()
    for path in sorted(workspace.corpora.glob("*/*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                file = tar.extractfile(member)
                assert file is not None
                data = file.read()
                text = data.decode() if member.name.endswith(".json") else hashlib.sha256(data).hexdigest()
                found.add((path.parent.name, member.name, text))
    return found


def handles_signals(process: subprocess.Popen[str]) -> bool:
    """Whether the command has installed its handlers: the interpreter itself handles SIGINT only."""
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
    except OSError:
        return False
    caught = re.search(r"^SigCgt:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return caught is not None and bool(int(caught[1], 16) & 1 << (signal.SIGHUP - 1))


# --- faults of a running process ---


def kill_group(trial: Trial, process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGKILL)


def kill_coordinator(trial: Trial, process: subprocess.Popen[str]) -> None:
    process.kill()


def kill_worker(trial: Trial, process: subprocess.Popen[str]) -> None:
    """Kill a process that the fork server started; the fork server is a child of the command."""
    try:
        children = psutil.Process(process.pid).children()
        workers = [each for child in children for each in child.children(recursive=True)]
        if workers:
            trial.chance.choice(workers).kill()
            trial.counts["workers killed"] += 1
    except psutil.NoSuchProcess:
        return


def freeze_group(trial: Trial, process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGSTOP)
    time.sleep(trial.chance.uniform(0.1, 1.0))
    os.killpg(process.pid, signal.SIGCONT)


def interrupt_group(trial: Trial, process: subprocess.Popen[str]) -> None:
    """As Ctrl-C in a terminal."""
    os.killpg(process.pid, signal.SIGINT)


def interrupt(trial: Trial, process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGINT)


def terminate(trial: Trial, process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)


def hang_up(trial: Trial, process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGHUP)


def cut_network(trial: Trial, process: subprocess.Popen[str]) -> None:
    trial.outage(trial.chance.uniform(0.1, 1.0))


RUNNING: dict[str, STARTED] = {
    "kill group": kill_group,
    "kill coordinator": kill_coordinator,
    "worker killed": kill_worker,
    "freeze": freeze_group,
    "interrupt group": interrupt_group,
    "interrupt": interrupt,
    "terminate": terminate,
    "hang up": hang_up,
    "outage": cut_network,
}

# --- damage between two commands ---


def lose_cache(trial: Trial) -> None:
    shutil.rmtree(trial.workspace.cache, ignore_errors=True)


def damage_state(trial: Trial) -> None:
    for path in trial.workspace.state.glob("*.json"):
        path.write_bytes(trial.chance.randbytes(trial.chance.randint(0, 40)))


def cut_catalog(trial: Trial) -> None:
    if trial.workspace.catalog.exists():
        size = trial.workspace.catalog.stat().st_size
        os.truncate(trial.workspace.catalog, trial.chance.randint(0, max(size - 1, 0)))


def lose_catalog(trial: Trial) -> None:
    trial.workspace.catalog.unlink(missing_ok=True)


def damage_ledger(trial: Trial) -> None:
    if trial.workspace.ledger.exists():
        trial.workspace.ledger.write_bytes(trial.chance.randbytes(5000))


def lose_segment(trial: Trial) -> None:
    if tars := sorted(trial.workspace.store.glob("*/[0-9]*.tar")):
        trial.chance.choice(tars).unlink()


def damage_segment(trial: Trial) -> None:
    if rows := sorted(trial.workspace.store.glob("*/[0-9]*.parquet")):
        path = trial.chance.choice(rows)
        os.truncate(path, trial.chance.randint(0, path.stat().st_size - 1))


def add_foreign_segment(trial: Trial) -> None:
    if folders := sorted(path for path in trial.workspace.store.glob("*") if path.is_dir()):
        (trial.chance.choice(folders) / "999999.parquet").write_bytes(b"not a segment")


def lose_shard(trial: Trial) -> None:
    if shards := sorted(trial.workspace.corpora.glob("*/*.tar")):
        trial.chance.choice(shards).unlink()


def lose_logs(trial: Trial) -> None:
    shutil.rmtree(trial.workspace.logs, ignore_errors=True)


DAMAGE: dict[str, Callable[[Trial], object]] = {
    "cache lost": lose_cache,
    "state damaged": damage_state,
    "catalog cut": cut_catalog,
    "catalog lost": lose_catalog,
    "ledger damaged": damage_ledger,
    "segment lost": lose_segment,
    "segment damaged": damage_segment,
    "foreign segment": add_foreign_segment,
    "shard lost": lose_shard,
    "logs lost": lose_logs,
}


def disturb(trial: Trial) -> None:
    """One command with one fault."""
    chance = trial.chance
    arguments = chance.choices(list(COMMANDS), list(COMMANDS.values()))[0]
    kinds = [*RUNNING, *RUNNING, "disk full", *DAMAGE]
    if trial.clock is not None:
        kinds.append("clock")
    fault = chance.choice(kinds)
    trial.faults += 1
    if fault in DAMAGE:
        DAMAGE[fault](trial)
        done = trial.end(trial.start(*arguments), fault, arguments)
        if done.code:
            trial.follow_advice(done)
    elif fault == "disk full":
        largest = chance.choice((1, 4096, 100_000, 1_000_000, 3_000_000))
        trial.end(trial.start(*arguments, largest=largest), fault, arguments)
    elif fault == "clock":
        days = chance.choice((-3650, -1, 1, 3650))
        trial.end(trial.start(*arguments, shift=days * 86_400), fault, arguments)
    else:
        process = trial.start(*arguments)
        began = time.monotonic()
        deadline = began + trial.moment(arguments)
        while process.poll() is None and (
            time.monotonic() < deadline or (fault in SIGNALS and not handles_signals(process))
        ):
            time.sleep(0.002)
        if process.poll() is None:
            RUNNING[fault](trial, process)
        else:
            fault = f"{fault} too late"
            trial.faults -= 1
            trial.seconds[arguments] = time.monotonic() - began
        trial.end(process, fault, arguments)


def build_clock(folder: Path) -> Path | None:
    """A library that shifts the system's clock in one process; None without a C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    source, library = folder / "clock.c", folder / "clock.so"
    source.write_text(SHIFTED_CLOCK)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library
