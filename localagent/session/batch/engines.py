"""Where the tasks of a batch run: in threads of this process, or on an existing Ray cluster."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from localagent.core.errors import BackendError, Interrupted, UsageError
from localagent.session.batch.results import BatchFolder, TaskResult
from localagent.session.batch.runner import BatchOptions, Processes, run_task
from localagent.session.batch.tasks import BatchTask


def run_here(
    tasks: Sequence[BatchTask], run: Callable[[BatchTask], TaskResult], jobs: int
) -> Iterator[TaskResult]:
    """Carry out tasks, `jobs` at a time, and yield each result when it is there.

    After an error of `run`, no further task begins, and the error is raised.
    """
    failed = threading.Event()

    def run_one(task: BatchTask) -> TaskResult:
        if failed.is_set():
            raise Interrupted("another task ended the batch")
        try:
            return run(task)
        except BaseException:
            failed.set()
            raise

    pool = ThreadPoolExecutor(jobs, thread_name_prefix="task")
    futures = [pool.submit(run_one, task) for task in tasks]
    try:
        for future in as_completed(futures):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def run_on_ray(
    tasks: Sequence[BatchTask], folder: BatchFolder, options: BatchOptions, address: str
) -> Iterator[TaskResult]:
    """Carry out tasks on the Ray cluster at `address`, and yield each result when it is there.

    The folder and the repositories must have the same paths on all machines of the cluster. Ray
    starts a task again whose worker died. Raises UsageError and BackendError.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        import ray
    except ImportError:
        raise UsageError(
            "Ray is not installed", "install localagent with its extra: localagent[ray]"
        ) from None
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise BackendError(f"no Ray cluster at {address}: {error}", "ray start --head") from None
    try:
        remote = ray.remote(max_retries=-1)(_run_remote)
        pending = [remote.remote(task, folder, options) for task in tasks]
        with contextlib.redirect_stdout(sys.stderr):  # Ray prints dead workers
            while pending:
                done, pending = ray.wait(pending)
                yield ray.get(done[0])
    except ray.exceptions.RayError as error:
        raise BackendError(f"Ray failed: {str(error).strip().splitlines()[-1]}") from None
    finally:
        ray.shutdown()


def _run_remote(task: BatchTask, folder: BatchFolder, options: BatchOptions) -> TaskResult:
    """Carry out a task in a process of the cluster."""
    return run_task(task, folder, options, Processes().start)
