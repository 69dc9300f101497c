"""The processes that share a run are forked from one that has collected the tests: five seconds of a CPU less for each.

With `-n`, pytest starts `python brood.py`, which imports and collects as a worker of xdist does and then forks for
whoever comes (`hatch.py`). A fork is an ordinary worker: xdist's own code runs in it, but finds its tests collected.
Where that is impossible (no Linux, an error in the arguments, a thread, a socket or an event loop left by an import),
every worker collects for itself as ever and says what is wrong.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import secrets
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest

from shanhe.kernel.process import die_with_parent, entitle, threads
from shanhe.nursery.api import possible
from shanhe.nursery.process import ONE_THREAD, leave

BACKLOG: Final = 64
END_WITHIN_S: Final = 5.0
STREAMS: Final = 3
SHARED: Final = ("socket:", "anon_inode:[eventpoll]")
"""What a fork would have in common with its siblings: each would hear what is said to another."""
NAME: Final = pytest.StashKey[str]()
LOST: Final = pytest.StashKey[list[str]]()


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Begin to collect while xdist makes its way to its workers."""
    option = config.option
    if getattr(option, "numprocesses", None) and not option.collectonly and not is_worker(config) and possible():
        config.stash[NAME], process = begin([str(one) for one in config.invocation_params.args])
        config.add_cleanup(lambda: end(process))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config, specs: Sequence[Any]) -> None:
    """Workers of this machine come out of the brood."""
    if name := config.stash.get(NAME, ""):
        for spec in specs:
            if spec.popen and not spec.chdir and not spec.python:
                command = [sys.executable, "-I", "-S", str(Path(__file__).with_name("hatch.py")), name]
                spec.python = shlex.join(command)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    if error:
        node.config.stash.setdefault(LOST, []).append(node.gateway.id)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker that is lost after its last test fails no test: the run has failed all the same."""
    if session.config.stash.get(LOST, []) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.INTERNAL_ERROR


def is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def begin(arguments: list[str]) -> tuple[str, subprocess.Popen[bytes]]:
    """The socket is there before the process is: nobody comes too early, and who waits hears of an untimely end."""
    from xdist.plugin import _sys_path

    name = f"shanhe-brood-{os.getpid()}-{secrets.token_hex(8)}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(f"\0{name}")
        listener.listen(BACKLOG)
        given = json.dumps([listener.fileno(), os.getpid(), _sys_path, arguments])
        process = subprocess.Popen(
            [sys.executable, __file__, given], pass_fds=[listener.fileno()], env={**os.environ, **ONE_THREAD},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )  # fmt: skip
    return name, process


def end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(END_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Brood:
    """A plugin of the process that collects: forks when it would run the tests."""

    def __init__(self, listener: socket.socket, given: set[str]) -> None:
        self._listener = listener
        self._given = given
        self._told: list[tuple[str, dict[str, Any]]] = []
        """What went wrong meanwhile: each worker tells it as if it had happened there."""

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._told.append(("pytest_collectreport", {"report": report}))

    def pytest_warning_recorded(self, warning_message: Any, when: Any, nodeid: Any, location: Any) -> None:
        given = {"warning_message": warning_message, "when": when, "nodeid": nodeid, "location": location}
        self._told.append(("pytest_warning_recorded", given))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        for name in ONE_THREAD:
            os.environ.pop(name, None)
        brood = os.getpid()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whoever asked for it sees how it ends
        while threads() == 1 and not self._left():
            channel, _ = self._listener.accept()
            with channel:
                _, streams, _, _ = socket.recv_fds(channel, 1, STREAMS)
                if len(streams) == STREAMS and os.fork() == 0:
                    leave(lambda: self._grow(session, channel, streams, brood))  # noqa: B023 - called here
                for descriptor in streams:
                    os.close(descriptor)
        return True

    def _left(self) -> bool:
        """Whether an import left something open that only one process can use."""
        for name in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):  # the one that lists is closed by now
                target = os.readlink(f"/proc/self/fd/{name}")
                if target.startswith(SHARED) and int(name) != self._listener.fileno() and target not in self._given:
                    return True
        return False

    def _grow(self, session: pytest.Session, channel: socket.socket, streams: list[int], brood: int) -> None:
        """The life of a worker: the interpreter that xdist meant to start, with the pytest that is there already.

        It ends with the brood, which ends with the run: whoever would end the interpreter finds `hatch.py` only."""
        die_with_parent(brood)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._listener.close()
        session.config.pluginmanager.get_plugin("capturemanager").stop_global_capturing()
        for number, descriptor in enumerate(streams):
            os.dup2(descriptor, number)
            os.close(descriptor)
        session.config.pluginmanager.unregister(self)
        session.config.pluginmanager.register(Collected(session, self._told))
        sys.modules["__main__"] = ModuleType("__main__")
        channel.send(b".")
        serve(session.config)
        atexit._run_exitfuncs()


def serve(config: pytest.Config) -> None:
    """Let execnet run what it is told, as its own first line would, and xdist find this pytest."""
    import _pytest.config
    from execnet import gateway_base

    while os.read(0, 1) != b"\n":
        pass  # its source, which is imported already
    model = gateway_base.get_execmodel("main_thread_only")
    io = gateway_base.init_popen_io(model)
    io.write(b"1")
    _pytest.config._prepareconfig = lambda *_: config  # type: ignore[assignment]
    gateway_base.serve(io, id="worker")


class Collected:
    """A plugin of each fork: what is left to do between the start of a session and its end."""

    def __init__(self, session: pytest.Session, told: list[tuple[str, dict[str, Any]]]) -> None:
        self._session, self._told = session, told
        self._path = [*sys.path]

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> int:
        """In place of pytest's own: xdist's worker, which is a plugin by now, is told what it missed."""
        from _pytest.tmpdir import TempPathFactory

        sys.path[:] = self._path
        capture = config.pluginmanager.get_plugin("capturemanager")
        capture.start_global_capturing()
        capture.suspend_global_capture()
        config._tmp_path_factory = TempPathFactory.from_config(config, _ispytest=True)  # type: ignore[attr-defined]
        worker = next(one for one in config.pluginmanager.get_plugins() if type(one).__name__ == "WorkerInteractor")
        worker.pytest_sessionstart(self._session)
        worker.pytest_collection()
        for name, given in self._told:
            getattr(worker, name)(**given)
        worker.pytest_collection_finish(self._session)
        return self._run(config)

    def _run(self, config: pytest.Config) -> int:
        session = self._session
        try:
            config.hook.pytest_runtestloop(session=session)
            session.exitstatus = pytest.ExitCode.TESTS_FAILED if session.testsfailed else pytest.ExitCode.OK
        except session.Failed:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        except (KeyboardInterrupt, pytest.exit.Exception):
            config.hook.pytest_keyboard_interrupt(excinfo=pytest.ExceptionInfo.from_current())
            session.exitstatus = pytest.ExitCode.INTERRUPTED
        except BaseException:  # noqa: BLE001 - said as pytest says it
            config.notify_exception(pytest.ExceptionInfo.from_current(), config.option)
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
        finally:
            os.chdir(session.startpath)
            config.hook.pytest_sessionfinish(session=session, exitstatus=session.exitstatus)
            config._ensure_unconfigure()
        return int(session.exitstatus)


def main() -> None:
    listener, parent, path, arguments = json.loads(sys.argv[1])
    die_with_parent(parent)
    entitle("shanhe test brood")
    sys.path[:], sys.argv[:] = path, ["-c"]
    given = {os.readlink(f"/proc/self/fd/{number}") for number in range(STREAMS)}  # and whoever copies one of them

    from _pytest.config import _prepareconfig

    config = _prepareconfig(arguments, None)
    from xdist.remote import setup_config  # pytest rewrites what it loads first

    setup_config(config, None)
    config.workerinput = {"workerid": "brood", "workercount": 0, "testrunuid": "", "mainargv": [""]}  # type: ignore[attr-defined]
    config.workeroutput = {}  # type: ignore[attr-defined]
    config.pluginmanager.register(Brood(socket.socket(fileno=listener), given))
    with contextlib.suppress(SystemExit):
        config.hook.pytest_cmdline_main(config=config)


if __name__ == "__main__":
    main()
