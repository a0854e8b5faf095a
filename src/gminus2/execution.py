"""One executor protocol (submit, as_completed, shutdown) and progress that a pipe never sees.

Work is cut into chunks of fixed size and seeded by chunk index, so every back end gives the same numbers. Threads are
the default because the kernels release the GIL; processes help where Python code dominates; a cluster executor with
the same three methods lives in :mod:`gminus2.pipeline`.
"""

from __future__ import annotations

import concurrent.futures
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from gminus2.errors import ConfigError, nearest

__all__ = [
    "Executor",
    "Future",
    "ProcessExecutor",
    "SerialExecutor",
    "ThreadExecutor",
    "make_executor",
    "map_ordered",
    "progress",
    "worker_count",
]

T = TypeVar("T")
R = TypeVar("R")


class Future(Protocol):
    """What ``submit`` returns: something with a result."""

    def result(self) -> Any:
        """Return the task's value or raise its exception."""
        ...

    def cancel(self) -> bool:
        """Drop the task if it has not started."""
        ...


class Executor(Protocol):
    """A place where tasks run."""

    def submit(self, function: Callable[..., Any], /, *args: Any) -> Future:
        """Schedule ``function(*args)``."""
        ...

    def as_completed(self, futures: Iterable[Future]) -> Iterator[Future]:
        """Yield futures as they finish, in any order."""
        ...

    def shutdown(self) -> None:
        """Drop tasks that have not started and free the workers."""
        ...


def worker_count() -> int:
    """Return how many CPUs this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1


class _PoolExecutor:
    def __init__(self, pool: concurrent.futures.Executor) -> None:
        self._pool = pool

    def submit(self, function: Callable[..., Any], /, *args: Any) -> Future:
        return self._pool.submit(function, *args)

    def as_completed(self, futures: Iterable[Future]) -> Iterator[Future]:
        return concurrent.futures.as_completed(futures)  # type: ignore[arg-type]

    def shutdown(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> _PoolExecutor:
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()


class ThreadExecutor(_PoolExecutor):
    """Threads in this process; the kernels release the GIL."""

    def __init__(self, workers: int | None = None) -> None:
        super().__init__(concurrent.futures.ThreadPoolExecutor(workers or worker_count()))


class ProcessExecutor(_PoolExecutor):
    """Separate processes (spawned, so that threads and caches of the parent are not inherited)."""

    def __init__(self, workers: int | None = None) -> None:
        import multiprocessing

        context = multiprocessing.get_context("spawn")
        super().__init__(concurrent.futures.ProcessPoolExecutor(workers or worker_count(), mp_context=context))


class _Lazy:
    """A task that runs when its result is first asked for."""

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self._function, self._args = function, args
        self._value: list[Any] = []

    def result(self) -> Any:
        if not self._value:
            self._value.append(self._function(*self._args))
        return self._value[0]

    def cancel(self) -> bool:
        return False


class SerialExecutor:
    """No workers: each task runs when its result is asked for. For debugging and for reference results."""

    def submit(self, function: Callable[..., Any], /, *args: Any) -> Future:
        return _Lazy(function, args)

    def as_completed(self, futures: Iterable[Future]) -> Iterator[Future]:
        return iter(list(futures))

    def shutdown(self) -> None:
        return None

    def __enter__(self) -> SerialExecutor:
        return self

    def __exit__(self, *_: object) -> None:
        return None


_BACKENDS = ("threads", "processes", "serial")


@contextmanager
def make_executor(name: str = "threads", workers: int | None = None) -> Iterator[Executor]:
    """Yield an executor by name (``threads``, ``processes``, ``serial``) and shut it down afterwards.

    Raises
    ------
    ConfigError
        Unknown name, or fewer than one worker.
    """
    if workers is not None and workers < 1:
        raise ConfigError("there must be at least one worker", found=str(workers))
    executor: ThreadExecutor | ProcessExecutor | SerialExecutor
    if name == "threads":
        executor = ThreadExecutor(workers)
    elif name == "processes":
        executor = ProcessExecutor(workers)
    elif name == "serial":
        executor = SerialExecutor()
    else:
        raise ConfigError(f"unknown executor '{name}'", hint=nearest(name, _BACKENDS))
    try:
        yield executor
    finally:
        executor.shutdown()


def map_ordered(
    executor: Executor, function: Callable[[T], R], items: Sequence[T], *, title: str = "", quiet: bool = True
) -> list[R]:
    """Apply ``function`` to every item and return the results in the order of ``items``.

    The first error cancels what has not started and is raised.
    """
    futures = [executor.submit(function, item) for item in items]
    with progress(title, len(items), quiet=quiet) as advance:
        for future in executor.as_completed(futures):
            try:
                future.result()
            except BaseException:
                for waiting in futures:
                    waiting.cancel()
                raise
            advance(1)
    return [future.result() for future in futures]


@contextmanager
def progress(title: str, total: int, *, quiet: bool = False) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on a terminal; do nothing in a pipe, a log, or with ``quiet``.

    Yields a function that advances the bar by a number of steps.
    """
    if quiet or not sys.stderr.isatty():
        yield lambda steps: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda steps: bar.advance(task, steps)
