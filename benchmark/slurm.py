"""Runs on a SLURM cluster: one array through submitit, one run a task, each under the lock of its folder.

``<results>/<suite>/slurm/`` is submitit's: the job script, the tasks, their logs.

submitit pickles what a task is to do and what it returns; this is a line of text, and nobody reads it back. Results are
the same plain files as everywhere.
"""

import importlib
import importlib.util
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Console

from wsss.benchmark import discovery, launch, locks, planning, slurm_queue
from wsss.benchmark.console import Display
from wsss.benchmark.errors import BenchmarkError, UsageError
from wsss.benchmark.grid import Suite
from wsss.benchmark.launch import Elsewhere
from wsss.benchmark.options import Slurm
from wsss.benchmark.planning import Run
from wsss.benchmark.spec import from_plain
from wsss.benchmark.trainer import Runtime
from wsss.benchmark.workplace import Workplace

TIMEOUTS = 1000
"""How often a run that reaches its time limit is requeued."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """One run as a task of an array. Plain data: a method out of the tree is looked up where the task is executed."""

    suite: Suite
    """Of this run alone."""
    folder: str
    """Of the run in the suite's results, as it was planned when it was submitted."""
    config: dict[str, Any]
    """Of the method, every field present."""
    workplace: Workplace
    runtime: Runtime
    command: str

    def __call__(self) -> str:
        """Execute the run; what became of it in one line.

        Raises:
            BenchmarkError: It failed, or what it rests on has changed since it was submitted.
        """
        run = self._planned()
        folder = run.folder(self.workplace.results)
        if folder is None or run.cell.folder != self.folder:
            planning.require(run)
            raise BenchmarkError(
                f"{run.name} is not what was submitted: its data, labels or code have changed since; run the same "
                f"command again"
            )
        (view,) = locks.watch([folder.path])  # one that is requeued may find the lock of its own past
        silent, results = view.owner if view.silent else None, self.workplace.results
        with Display(1, Console(soft_wrap=True)) as display:
            outcome = launch.execute_alone(run, results, self.runtime, display.stage, self.command, silent)
        if isinstance(outcome, Elsewhere):
            said = "is finished already" if outcome.owner is None else f"is executed by {outcome.owner}"
        else:
            said = "is finished"
        print(f"{run.name} {said}", flush=True)
        return said

    def checkpoint(self) -> Any:
        """What to submit anew when SLURM takes the node away: the same, which goes on from its last checkpoint."""
        return _submitit().helpers.DelayedSubmission(self)

    def _planned(self) -> Run:
        discovery.names("methods")
        (row,) = self.suite.rows
        config = from_plain(discovery.method(row.method).Config, self.config, f"{row.method}: config")
        (run,) = planning.plan(self.suite, self.workplace, configs={row.name: config})
        return run


def task_of(run: Run, workplace: Workplace, runtime: Runtime, command: str) -> Task:
    """A planned run as a task."""
    assert run.spec is not None and run.cell.folder is not None
    labels = run.column.labels if run.cell.labels == "full" else (run.cell.labels,)
    column = replace(run.column, labels=labels)
    return Task(
        suite=replace(run.suite, columns=(column,), rows=(run.row,), seeds=(run.cell.seed,)),
        folder=run.cell.folder,
        config=run.spec.config,
        workplace=replace(workplace, jobs=1),
        runtime=runtime,
        command=command,
    )


def check() -> None:
    """Whether runs can be submitted from here.

    Raises:
        UsageError: submitit or SLURM's programs are missing.
    """
    if importlib.util.find_spec("submitit") is None:
        raise UsageError("--launcher slurm needs submitit; `pip install 'wsss-benchmark[slurm]'` brings it")
    for program in ("sbatch", "srun", "squeue"):
        if shutil.which(program) is None:
            raise UsageError(f"--launcher slurm: there is no {program} on this host; call it where jobs are submitted")


def submit(
    runs: list[Run], workplace: Workplace, runtime: Runtime, wanted: Slurm, command_of: Callable[[Run], str]
) -> dict[str, str]:
    """Submit runs of one suite as one array and write down which job has which run.

    Returns:
        The job of each run's folder.

    Raises:
        BenchmarkError: SLURM refuses them; the text is its own.
        UsageError: A parameter is not key=value.
    """
    folder = workplace.results / runs[0].suite.name
    executor = _submitit().SlurmExecutor(folder=folder / "slurm", max_num_timeout=TIMEOUTS)
    executor.update_parameters(**_parameters(wanted, runtime, runs[0].suite.name))
    runtime = replace(runtime, threads=wanted.cpus)
    jobs = []
    try:
        with executor.batch():
            jobs += [executor.submit(task_of(run, workplace, runtime, command_of(run))) for run in runs]
    except _submitit().core.utils.FailedJobError as error:
        raise BenchmarkError(f"SLURM refuses the runs: {' '.join(str(error).split())}") from error
    submitted = {str(run.cell.folder): str(job.job_id) for run, job in zip(runs, jobs, strict=True)}
    known = {name: job for name, job in slurm_queue.read(folder).items() if not (folder / name / "run.json").is_file()}
    slurm_queue.write(folder, {**known, **submitted})
    return submitted


def _parameters(wanted: Slurm, runtime: Runtime, suite: str) -> dict[str, Any]:
    """Those of submitit's executor."""
    gpus = wanted.gpus if wanted.gpus is not None else 0 if runtime.device == "cpu" else runtime.devices
    memory = None if wanted.memory is None else f"{round(1024 * wanted.memory)}MB"
    named = {"partition": wanted.partition, "account": wanted.account, "mem": memory, "gpus_per_node": gpus or None}
    return {
        "job_name": f"wsss-{suite}",
        "time": max(1, round(60 * wanted.hours)),
        "cpus_per_task": wanted.cpus,
        "array_parallelism": wanted.parallel,
        "stderr_to_stdout": True,
        "setup": ["export PYTHONSAFEPATH=1"],  # the folder that it is called from holds no packages
        "additional_parameters": {"requeue": True, **dict(_pairs(wanted.parameter))},
        **{name: value for name, value in named.items() if value is not None},
    }


def _pairs(parameters: Iterable[str]) -> Iterable[tuple[str, str]]:
    for parameter in parameters:
        key, equals, value = parameter.partition("=")
        if not (key and equals):
            raise UsageError(f"--parameter {parameter}: it must be key=value, such as constraint=a100")
        yield key.lstrip("-"), value


def _submitit() -> Any:
    return importlib.import_module("submitit")
