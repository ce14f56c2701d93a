"""Worker processes: started fresh, on one thread, deaf to Ctrl-C, and gone with their parent."""

import multiprocessing
import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor


def settle_in() -> None:
    """Set up a worker process; call it first in a pool's initializer.

    One thread: small networks gain nothing from two, and figures do not depend on what else runs.
    Ctrl-C reaches the whole group of processes and is answered by the parent alone.
    """
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def abandon(pool: ProcessPoolExecutor) -> None:
    """Drop what waits and end what runs, at once: for Ctrl-C or a failed job."""
    pool.shutdown(wait=False, cancel_futures=True)
    for process in multiprocessing.active_children():
        process.terminate()


def _end_with_parent() -> None:
    """Wait for the parent to die and follow it.

    A worker whose parent was killed would work on beside the next run, on the same files.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
