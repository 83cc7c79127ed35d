"""Jobs in processes of their own: a crash or an endless loop in one step ends that step alone."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol


class Job(Protocol):
    """Steps that share what they prepare, to be done in order."""

    def __len__(self) -> int:
        """Return the number of steps."""

    def step(self, position: int) -> Any:
        """Do one step and return what came of it, which must be picklable."""


@dataclass(frozen=True)
class Died:
    """What came of a step whose process ended, or that took too long.

    Attributes:
        reason: What happened to it.
        out_of_time: Whether it took too long.
    """

    reason: str
    out_of_time: bool = False


@dataclass
class _Worker:
    process: Any
    pipe: Connection
    job: int
    step: int
    since: float


def run_jobs(jobs: Sequence[Job], workers: int, seconds: float) -> Iterator[tuple[int, int, Any]]:
    """Do all steps of all jobs.

    Where processes can't be forked, everything is done in this one.

    Args:
        jobs: The jobs; the steps of each are done by one process, in order.
        workers: How many processes work at a time; 0 for none but this.
        seconds: How long a step may take.

    Yields:
        The job's position, the step's, and what came of it: a result, or `Died`.
    """
    if not workers or "fork" not in multiprocessing.get_all_start_methods():
        for position, job in enumerate(jobs):
            for step in range(len(job)):
                yield position, step, job.step(step)
        return
    waiting = [position for position, job in enumerate(jobs) if len(job)]
    active: list[_Worker] = []
    try:
        while waiting or active:
            while waiting and len(active) < workers:
                active.append(_start(jobs, waiting.pop(0), 0))
            for worker in _ready(active, seconds):
                yield from _serve(jobs, worker, waiting, active, seconds)
    finally:
        for worker in active:
            worker.process.kill()


def _start(jobs: Sequence[Job], job: int, step: int) -> _Worker:
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(jobs, job, step, theirs), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours, job, step, time.monotonic())


def _work(jobs: Sequence[Job], job: int, first: int, pipe: Connection) -> None:
    """Do the steps of one job after the other, as long as there is a next one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    next_job: int | None = job
    while next_job is not None:
        for step in range(first, len(jobs[next_job])):
            pipe.send(jobs[next_job].step(step))
        next_job, first = pipe.recv(), 0


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, killed for instance."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _ready(active: Sequence[_Worker], seconds: float) -> list[_Worker]:
    """Wait until a worker has something to say, or has been silent for too long."""
    oldest = min(worker.since for worker in active)
    patience = max(0.0, oldest + seconds - time.monotonic())
    said = wait([worker.pipe for worker in active], patience)
    now = time.monotonic()
    return [w for w in active if w.pipe in said or now - w.since >= seconds]


def _serve(
    jobs: Sequence[Job],
    worker: _Worker,
    waiting: list[int],
    active: list[_Worker],
    seconds: float,
) -> Iterator[tuple[int, int, Any]]:
    if worker.pipe.poll():
        try:
            result = worker.pipe.recv()
        except EOFError:
            worker.process.join()
            result = Died(_cause(worker.process.exitcode))
    else:
        worker.process.kill()
        worker.process.join()
        result = Died(f"it took more than {seconds:g} seconds", out_of_time=True)
    yield worker.job, worker.step, result
    worker.step += 1
    worker.since = time.monotonic()
    finished = worker.step == len(jobs[worker.job])
    if isinstance(result, Died):
        active.remove(worker)
        worker.pipe.close()
        if not finished:
            active.append(_start(jobs, worker.job, worker.step))
    elif finished and waiting:
        worker.job, worker.step = waiting.pop(0), 0
        worker.pipe.send(worker.job)
    elif finished:
        active.remove(worker)
        worker.pipe.send(None)
        worker.pipe.close()


def _cause(status: int | None) -> str:
    if status is not None and status < 0:
        return f"its process ended with {signal.Signals(-status).name}"
    return f"its process ended with status {status}"
