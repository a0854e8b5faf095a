"""The executor of a Dask cluster: the same three methods as threads and processes, on any number of machines.

Needs the ``dask`` extra. A task that dies with its worker is run again by the scheduler; because a batch's numbers
depend only on its task, the result does not change.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from gminus2.errors import ConfigError, MissingExtraError
from gminus2.execution import Future, worker_count

__all__ = ["DaskExecutor"]


class DaskExecutor:
    """Tasks on a Dask cluster.

    Parameters
    ----------
    scheduler
        Address of a running scheduler (``tcp://host:8786``); ``None`` starts a cluster of processes on this machine.
    workers
        Processes of that local cluster.

    Raises
    ------
    MissingExtraError
        The ``distributed`` package is not installed.
    ConfigError
        No scheduler answers at the address.
    """

    def __init__(self, scheduler: str | None = None, workers: int | None = None, *, timeout_s: float = 20.0) -> None:
        try:
            distributed: Any = importlib.import_module("distributed")
        except ImportError:
            raise MissingExtraError("distributed", "dask", "running on a Dask cluster") from None
        self._module = distributed
        self._cluster: Any = None
        if scheduler is None:
            self._cluster = distributed.LocalCluster(
                n_workers=workers or worker_count(),
                threads_per_worker=1,
                processes=True,
                dashboard_address=None,
                silence_logs=logging.ERROR,
            )
        try:
            self._client = distributed.Client(self._cluster or scheduler, timeout=timeout_s, set_as_default=False)
            self._client.wait_for_workers(1, timeout=timeout_s)
        except (OSError, TimeoutError, ValueError) as error:
            raise ConfigError(
                f"no Dask scheduler with workers answers ({type(error).__name__})",
                where=scheduler or "local cluster",
                hint="start one with 'dask scheduler' and 'dask worker ADDRESS'",
            ) from None

    @property
    def workers(self) -> int:
        """Number of worker threads in the cluster now."""
        return max(1, sum(int(n) for n in self._client.nthreads().values()))

    @property
    def client(self) -> Any:
        """The ``distributed.Client`` underneath."""
        return self._client

    def submit(self, function: Callable[..., Any], /, *args: Any) -> Future:
        """Schedule ``function(*args)`` on some worker."""
        # pure=False: equal tasks of two runs must not share a cached result.
        future: Future = self._client.submit(function, *args, pure=False, retries=3)
        return future

    def as_completed(self, futures: Iterable[Future]) -> Iterator[Future]:
        """Yield futures as they finish."""
        return iter(self._module.as_completed(list(futures), loop=self._client.loop))

    def shutdown(self) -> None:
        """Leave the cluster; end it if it was started here."""
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()
