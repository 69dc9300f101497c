"""A program that starts a thread while it gets ready, as a careless plug-in would."""

import threading
import time


def ready() -> None:
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
