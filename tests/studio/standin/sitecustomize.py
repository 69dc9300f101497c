"""On a city's PYTHONPATH: its studio's steps are done by the worker of the tests, which only pretends to train."""

import os
import runpy
import sys
from pathlib import Path

STEP = "shanhe.studio.work.main"
if STEP in sys.orig_argv:
    sys.argv = sys.orig_argv[sys.orig_argv.index(STEP) :]
    try:
        runpy.run_path(str(Path(__file__).parent.parent / "worker.py"), run_name="__main__")
    except SystemExit as ended:
        sys.stdout.flush()
        os._exit(int(ended.code or 0))
