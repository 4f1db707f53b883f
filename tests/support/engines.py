"""Engines of ipyparallel."""

import contextlib
import logging

import pytest


@contextlib.contextmanager
def engines_of(n, code):
    """A client of as many engines, each of which has run some code."""
    parallel = pytest.importorskip("ipyparallel")
    cluster = parallel.Cluster(n=n, log_level=logging.ERROR)
    client = cluster.start_and_connect_sync(activate=False)
    client[:].execute(code, block=True)
    yield client
    cluster.stop_cluster_sync()
