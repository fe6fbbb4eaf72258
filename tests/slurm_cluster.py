"""A SLURM cluster of one node on this machine, from Debian's slurm-wlm and munge, for as long as a test needs it."""

import os
import platform
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel", "sinfo")
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


class CannotStart(Exception):
    """Why there is no cluster here."""


@contextmanager
def cluster(cpus):
    """Start the daemons and wait for the node; yields the environment in which SLURM's programs find them."""
    absent = [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]
    if absent:
        raise CannotStart(f"{', '.join(absent)} missing: apt-get install slurm-wlm munge")
    with tempfile.TemporaryDirectory(prefix="wsss-slurm-") as name, ExitStack() as stack:  # sockets need short paths
        folder = Path(name)
        folder.chmod(0o755)
        environment = {**os.environ, "PATH": PATH, "SLURM_CONF": str(folder / "slurm.conf")}
        (folder / "slurm.conf").write_text(configuration(folder, cpus))
        (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")  # none of its controllers is used
        for sub in ("state", "spool", "munge"):
            (folder / sub).mkdir(mode=0o755)
        key = folder / "munge/key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        own = folder / "munge"
        places = {"key-file": key, "socket": own / "socket", "pid-file": own / "pid", "log-file": own / "log",
                  "seed-file": own / "seed"}  # fmt: skip
        options = [f"--{option}={path}" for option, path in places.items()]
        start(stack, ["munged", "--foreground", "--force", *options], folder / "munged.out", environment)
        wait_for((own / "socket").exists, folder / "munged.out")
        start(stack, ["slurmctld", "-D", "-f", folder / "slurm.conf"], folder / "slurmctld.out", environment)
        start(stack, ["slurmd", "-D", "-f", folder / "slurm.conf"], folder / "slurmd.out", environment)
        wait_for(lambda: "idle" in ask(environment, "sinfo", "--noheader", "--format=%t"), folder / "slurmd.out")
        yield environment


def configuration(folder, cpus):
    host, user = platform.node(), pwd.getpwuid(os.getuid()).pw_name
    control, node = free_ports(2)
    return f"""\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
CredType=cred/munge
SlurmctldPort={control}
SlurmdPort={node}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmdSpoolDir={folder}/spool
StateSaveLocation={folder}/state
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=2,batch_sched_delay=1,bf_interval=2
ReturnToService=2
KillWait=1
InactiveLimit=0
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def free_ports(number):
    """Ports that nobody listens on at the moment."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def start(stack, command, log, environment):
    """Start a daemon that ends with the block."""
    file = stack.enter_context(log.open("w"))
    process = subprocess.Popen(list(map(str, command)), env=environment, stdout=file, stderr=file)
    stack.callback(process.wait)
    stack.callback(process.terminate)


def wait_for(condition, log):
    for _ in range(300):
        if condition():
            return
        time.sleep(0.1)
    raise CannotStart(f"SLURM does not come up: {' | '.join(log.read_text(errors='replace').splitlines()[-3:])}")


def ask(environment, *command):
    """What one of SLURM's programs prints; nothing if it fails."""
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout
