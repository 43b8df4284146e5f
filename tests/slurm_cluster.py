"""A real SLURM on this machine: controller, two nodes, accounting, all on loopback, started as our children, stopped by pid.

The nodes are two slurmd processes that declare more CPUs than the machine may have. Everything a daemon writes lies in one
short folder (unix sockets), which is removed at the end.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

PACKAGES = ("slurmctld", "slurmd", "slurm-client", "munge", "slurmdbd", "mariadb-server")
PROGRAMS = ("munged", "slurmctld", "slurmd", "slurmdbd", "mariadbd", "mariadb-install-db", "sbatch", "srun", "sacct")

CONF = """
ClusterName=test
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={controller}
AuthType=auth/munge
# cred_expire is also how long a requeued job is held back
AuthInfo=socket={root}/munge.sock,cred_expire=5
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool-%n
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd-%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
MailProg=/bin/true
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
PropagateResourceLimits=NONE
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
ReturnToService=2
JobRequeue=1
KillWait=2
SlurmctldTimeout=10
SlurmdTimeout=10
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=localhost
AccountingStoragePort={accounting}
AccountingStoragePass={root}/munge.sock
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=5
"""
ACCOUNTING = """
AuthType=auth/munge
AuthInfo=socket={root}/munge.sock
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={accounting}
CommunicationParameters=NoInAddrAny
SlurmUser=root
LogFile={root}/slurmdbd.log
PidFile={root}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=slurm
StoragePass=slurm
StorageLoc=accounts
"""


class Unavailable(Exception):
    """SLURM cannot be installed here; the message says why."""


def install() -> None:
    """Install what is missing, with this system's own package manager."""
    if os.geteuid() != 0:
        raise Unavailable("a cluster's daemons are started as root, and this is not root")
    if all(shutil.which(program) for program in PROGRAMS):
        return
    if not shutil.which("apt-get"):
        raise Unavailable(f"no apt-get to install {', '.join(PACKAGES)} with")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    get = ["apt-get", "-o", "DPkg::Lock::Timeout=300", "-y", "-q"]
    for command in (["update"], ["install", "--no-install-recommends", *PACKAGES]):
        try:
            answer = subprocess.run([*get, *command], env=environment, capture_output=True, text=True, timeout=600)
        except subprocess.TimeoutExpired:
            raise Unavailable(f"apt-get {command[0]} took longer than ten minutes") from None
    missing = [program for program in PROGRAMS if not shutil.which(program)]
    if missing:
        last = (answer.stderr or answer.stdout).strip().splitlines()[-1:]
        raise Unavailable(f"apt-get could not install {', '.join(missing)}: {' '.join(last)}")


class Cluster:
    """``with Cluster() as cluster``: up when the block begins, gone when it ends."""

    def __init__(self, nodes: int = 2, cpus: int = 3) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="sl", dir="/tmp"))
        self.nodes = [f"n{i + 1}" for i in range(nodes)]
        self.cpus = cpus
        self.environment = {**os.environ, "SLURM_CONF": str(self.root / "slurm.conf")}
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Cluster:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start(self) -> None:
        self.root.chmod(0o755)
        (self.root / "state").mkdir()
        ports = free_ports(2 + len(self.nodes))
        self.accounting = ports[1]
        conf = CONF.format(root=self.root, controller=ports[0], accounting=ports[1])
        for node, port in zip(self.nodes, ports[2:], strict=True):
            (self.root / f"spool-{node}").mkdir()
            conf += f"NodeName={node} NodeHostname={node} NodeAddr=127.0.0.1 Port={port} CPUs={self.cpus} RealMemory=16000\n"
        conf += f"PartitionName=main Nodes={','.join(self.nodes)} Default=YES MaxTime=INFINITE State=UP\n"
        (self.root / "slurm.conf").write_text(conf)
        self._munge()
        self._accounting()
        self._daemon("slurmctld", "slurmctld", "-D")
        for node in self.nodes:
            self.start_node(node)
        wait(lambda: len(self.idle()) == len(self.nodes), 120, "all nodes idle")

    def _munge(self) -> None:
        key = self.root / "munge.key"
        key.touch(0o600)
        key.write_bytes(secrets.token_bytes(1024))
        files = {
            "key-file": key,
            "socket": "munge.sock",
            "pid-file": "munge.pid",
            "log-file": "munge.log",
            "seed-file": "seed",
        }
        options = [f"--{name}={self.root / file}" for name, file in files.items()]
        self._daemon("munged", "munged", "--foreground", *options)
        wait((self.root / "munge.sock").exists, 60, "munge")

    def _accounting(self) -> None:
        data, sock = self.root / "db", self.root / "db.sock"
        make = ["mariadb-install-db", "--no-defaults", f"--datadir={data}", "--user=root", "--skip-test-db"]
        self.run(*make, "--auth-root-authentication-method=normal", timeout=300)
        sizes = ["--innodb-buffer-pool-size=64M", "--innodb-log-file-size=16M", "--innodb-lock-wait-timeout=900"]
        server = [
            "mariadbd",
            "--no-defaults",
            "--user=root",
            f"--datadir={data}",
            f"--socket={sock}",
            "--skip-networking",
        ]
        self._daemon(
            "mariadbd", *server, f"--pid-file={self.root}/db.pid", "--innodb-flush-log-at-trx-commit=0", *sizes
        )
        client = ["mariadb", "--no-defaults", f"--socket={sock}", "-u", "root", "-e"]
        wait(lambda: self.run(*client, "select 1", check=False).returncode == 0, 180, "the database")
        rights = "create user slurm@localhost identified by 'slurm'; grant all on accounts.* to slurm@localhost"
        self.run(*client, f"create database accounts; {rights}")
        file = self.root / "slurmdbd.conf"
        file.touch(0o600)
        file.write_text(ACCOUNTING.format(root=self.root, accounting=self.accounting))
        # the client library takes the database's socket from this variable alone
        self._daemon("slurmdbd", "slurmdbd", "-D", MYSQL_UNIX_PORT=str(sock))
        wait(lambda: listening(self.accounting), 120, "the accounting daemon")
        self.run("sacctmgr", "-i", "-Q", "add", "cluster", "test", check=False)

    def start_node(self, node: str) -> None:
        self._daemon(f"slurmd-{node}", "slurmd", "-D", "-N", node)

    def _daemon(self, name: str, *command: str, **more: str) -> None:
        with open(self.root / f"{name}.out", "ab") as out:
            self.daemons[name] = subprocess.Popen(
                command, env={**self.environment, **more}, stdout=out, stderr=out, stdin=subprocess.DEVNULL
            )

    def run(self, *command: str, check: bool = True, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        answer = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=timeout)
        if check and answer.returncode:
            raise RuntimeError(f"{' '.join(command[:2])}: {answer.stderr.strip()[-500:]}")
        return answer

    def idle(self) -> set[str]:
        return self._in_state("idle")

    def _in_state(self, state: str) -> set[str]:
        return set(self.run("sinfo", "-h", "-N", "-t", state, "-o", "%N", check=False).stdout.split())

    def node_of(self, job: str) -> str:
        return self.run("squeue", "-h", "-j", job, "-o", "%N").stdout.strip()

    def lose(self, node: str, pid: int) -> None:
        """The node is gone: its daemon, then the daemons of the steps of the one job there, then the job's process.

        Returns when the controller has noticed.
        """
        daemon = self.daemons.pop(f"slurmd-{node}")
        daemon.kill()
        daemon.wait()
        steps = self._steps(variable(pid, "SLURM_JOB_ID"))
        if not steps:
            raise RuntimeError("found no step daemon of the job on that node")
        for each in (*steps, pid):
            kill(each)
        wait(lambda: node in self._in_state("down"), 300, f"the controller to miss {node}")

    def _steps(self, job: str = "") -> list[int]:
        """Step daemons of this cluster, all of them or those of a job; they call themselves ``slurmstepd: [<job>.<step>]``."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                title = (entry / "cmdline").read_text()
                ours = variable(int(entry.name), "SLURM_CONF") == self.environment["SLURM_CONF"]
                if "slurmstepd" in os.readlink(entry / "exe") and ours and (not job or f"[{job}." in title):
                    found.append(int(entry.name))
        return found

    def stop(self) -> None:
        """Jobs first, then the daemons in the order of their needs, by the pids that we started."""
        with contextlib.suppress(Exception):
            jobs = self.run("squeue", "-h", "-o", "%A", check=False, timeout=10).stdout.split()
            if jobs:
                self.run("scancel", *set(jobs), check=False, timeout=10)
                wait(lambda: not self.run("squeue", "-h", check=False).stdout.strip(), 15, "the jobs' end")
        for name in sorted(
            self.daemons, key=lambda n: ("slurmd-" not in n, n != "slurmctld", n != "slurmdbd", n != "mariadbd")
        ):
            daemon = self.daemons[name]
            daemon.terminate()
            try:
                daemon.wait(15)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        for step in self._steps():
            kill(step)
        shutil.rmtree(self.root, ignore_errors=True)


def variable(pid: int, name: str) -> str:
    """A variable of a process's environment."""
    entries = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="ignore").split("\0")
    return next((entry.partition("=")[2] for entry in entries if entry.startswith(f"{name}=")), "")


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def wait(condition: Callable[[], object], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.1)


def free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
