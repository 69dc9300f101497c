"""One model in one process: llama.cpp's own HTTP server on a UNIX socket, nothing else.

`python -m shanhe.compute.llama_child --model FILE --socket PATH --alias ID …`, started and watched by `runner`. The
socket lies in a folder that only the city's own user may enter: an open loopback port would bypass metering.

The context is shared by the slots: each of `slots` parallel requests gets `context_tokens`, the KV cache holds
slots × context_tokens.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

PR_SET_PDEATHSIG: Final = 1
PARENT_POLL_S: Final = 1.0
LEAVE_S: Final = 5
PROMPT_CACHE_MIB: Final = 128
"""Bound on prompts that llama.cpp keeps in memory for re-use; its own default is 8 GiB."""
WARNINGS: Final = 2
"""llama.cpp's verbosity: warnings and errors. Those quote requests too: `saying` leaves that out."""
POOLING: Final = {"none": 0, "mean": 1, "cls": 2, "last": 3}


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="shanhe.compute.llama_child", description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="GGUF file")
    parser.add_argument("--socket", type=Path, required=True, help="UNIX socket to serve on, ending in .sock")
    parser.add_argument("--alias", required=True, help="name of the model in requests")
    parser.add_argument("--context-tokens", type=int, required=True, help="context of one slot")
    parser.add_argument("--slots", type=int, default=1, help="requests that run at the same time")
    parser.add_argument("--threads", type=int, default=0, help="0 = cores - 1")
    parser.add_argument("--embedding", action="store_true", help="serve embeddings instead of chat")
    parser.add_argument("--pooling", choices=sorted(POOLING), default="mean", help="of an embedding model")
    parser.add_argument("--adapter", type=Path, action="append", default=[], help="LoRA adapter; numbered from 0")
    parser.add_argument("--parent", type=int, default=0, help="process to end with; 0 = nobody")
    return parser.parse_args(argv)


def threads_for(wanted: int, cores: int | None = None) -> int:
    """Threads to compute with: what was asked for, else one core is left to the rest of the city."""
    if wanted > 0:
        return wanted
    return max(
        1, (cores or len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1) - 1
    )


def loading_socket(socket: Path) -> Path:
    """Where the child listens until the model is loaded; it must end in .sock for llama.cpp to take it as a path."""
    return socket.with_name(f"~{os.getpid()}.sock")


def parameters(args: argparse.Namespace) -> Any:
    """llama.cpp's parameters for one child."""
    import xllamacpp as xlc  # an extra; loads 100 MB, so only in the child

    params = xlc.CommonParams()
    params.model.path = str(args.model)
    params.model_alias = {args.alias}
    params.lora_adapters = [adapter_of(path) for path in args.adapter]
    params.lora_init_without_apply = True  # a request names the one that it wants
    params.hostnames = [str(loading_socket(args.socket))]
    params.n_parallel = args.slots
    params.n_ctx = args.context_tokens * args.slots
    threads = threads_for(args.threads)
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    params.fit_params = False
    params.ui = False
    params.endpoint_slots = False
    params.endpoint_props = False
    params.endpoint_metrics = True
    params.cache_ram_mib = PROMPT_CACHE_MIB
    params.offline = True
    params.verbosity = WARNINGS
    if args.embedding:
        params.embedding = True
        params.pooling_type = xlc.llama_pooling_type(POOLING[args.pooling])
        # an embedding is computed in one piece: the micro-batch must hold a whole input
        params.n_ubatch = params.n_batch = max(args.context_tokens, 512)
    return params


def adapter_of(path: Path) -> Any:
    """One adapter for llama.cpp."""
    import xllamacpp as xlc

    found = xlc.CommonAdapterLoraInfo()
    found.path, found.scale = str(path), 0.0
    return found


def die_with(parent: int) -> None:
    """End when `parent` ends, however it ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:  # it died before the line above, or we are not on Linux and have to look
        sys.exit(0)


def main(argv: Sequence[str]) -> int:
    args = arguments(argv)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if args.parent:
        die_with(args.parent)
    os.umask(0o077)
    import xllamacpp as xlc

    loading = loading_socket(args.socket)
    loading.unlink(missing_ok=True)
    server = xlc.Server(parameters(args))  # returns when the model is loaded
    sys.stderr.write(f"serving {args.alias} on {args.socket}\n")
    sys.stderr.flush()
    loading.replace(args.socket)  # the socket's name appears only now: where it exists, a model serves
    while not stop.wait(PARENT_POLL_S):
        if args.parent and os.getppid() != args.parent:
            break
    args.socket.unlink(missing_ok=True)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(LEAVE_S)  # llama.cpp told to stop while it still begins waits for itself for ever
    del server  # ends its threads and waits for them
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
