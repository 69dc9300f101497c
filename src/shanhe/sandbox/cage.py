"""Runs a piece of Python in a cage. Started by itself, as `python -I -S -B cage.py`; it imports nothing of the city.

In this order: namespaces of its own for users, mounts, processes, network, IPC and names; a root of its own that holds
the interpreter's library read-only and a small /tmp; limits; nobody's user where it was root, and no way to gain
privileges; Landlock where the kernel has it; a filter of system calls that knows neither sockets nor new processes nor
programs. A layer that can't be had is the end: nothing runs, and standard output says which one.

Standard input is one line of JSON: code, function, arguments, limits. Standard output is one line of JSON.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import platform
import resource
import signal
import struct
import sys
import time

LINE_MAX_BYTES = 4 * 1024 * 1024
NOBODY = 65534
INSIDE = 1000
FILES_MAX = 64
NEW_ALL = 0x10000000 | 0x00020000 | 0x20000000 | 0x40000000 | 0x08000000 | 0x04000000
"""CLONE_NEWUSER, NEWNS, NEWPID, NEWNET, NEWIPC, NEWUTS."""
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = (
    1, 2, 4, 8, 32, 4096, 16384, 1 << 18,
)  # fmt: skip
MNT_DETACH = 2
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS, PR_CAPBSET_DROP = 1, 38, 24
CAPS_MAX = 63
SYS_PIVOT_ROOT, SYS_CAPSET, SYS_SECCOMP = 155, 126, 317
SYS_LANDLOCK_CREATE, SYS_LANDLOCK_ADD, SYS_LANDLOCK_RESTRICT = 444, 445, 446
AUDIT_X86_64 = 0xC000003E
ALLOWED = (
    "0 1 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 32 33 35 39 60 61 63 72 73 74 75 76 77 "
    "78 79 80 81 82 83 84 87 89 90 91 95 96 97 98 99 100 102 104 107 108 110 111 131 137 138 186 200 201 202 203 204 "
    "213 217 218 228 229 230 231 232 233 234 257 258 262 263 264 265 267 268 269 270 271 273 274 281 282 285 290 291 "
    "292 293 302 318 319 324 332 334 439 441"
)
"""Numbers on x86-64 of what an interpreter needs to compute: memory, its own files, time, threads, waiting."""
CLONE, CLONE3, CLONE_THREAD = 56, 435, 0x00010000

libc = ctypes.CDLL(None, use_errno=True)


class Missing(Exception):
    """A layer of the cage can't be had here."""


def need(layer: str, result: int) -> int:
    """The result of a call that must not fail."""
    if result < 0:
        raise Missing(f"{layer}: {os.strerror(ctypes.get_errno())}")
    return result


def enter_namespaces() -> None:
    """Namespaces of its own. Where it was root, its code will be somebody who owns nothing, whom root has to map."""
    user, group = os.geteuid(), os.getegid()
    if user != 0:
        need("namespaces", libc.unshare(NEW_ALL))
        write_maps(os.getpid(), f"{INSIDE} {user} 1", f"{INSIDE} {group} 1")
        return
    ready, done = os.pipe(), os.pipe()
    parent, helper = os.getpid(), os.fork()
    if helper == 0:
        os.close(ready[1])  # so that the end of whoever asked is seen as the end of what it says
        if os.read(ready[0], 1) != b"+":
            os._exit(0)
        try:
            write_maps(parent, f"0 0 1\n{INSIDE} {NOBODY} 1", f"0 0 1\n{INSIDE} {NOBODY} 1")
            os.write(done[1], b"+")
        finally:
            os._exit(0)
    need("namespaces", libc.unshare(NEW_ALL))
    os.write(ready[1], b"+")
    os.close(done[1])
    mapped = os.read(done[0], 1)
    os.waitpid(helper, 0)
    for number in (*ready, done[0]):
        os.close(number)
    if mapped != b"+":
        raise Missing("user namespace: nobody could be mapped into it")


def write_maps(pid: int, users: str, groups: str) -> None:
    try:
        for name, text in (("setgroups", "deny"), ("uid_map", users), ("gid_map", groups)):
            with open(f"/proc/{pid}/{name}", "wb") as file:
                file.write(text.encode())
    except OSError as error:
        raise Missing(f"user namespace: {error}") from error


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    done = libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode())
    need(f"mount of {target}", done)


def own_root(tmp_bytes: int) -> None:
    """An empty root with the interpreter's library, read-only, and a /tmp of a bounded size."""
    mount("none", "/", "", MS_REC | MS_PRIVATE)
    root = "/tmp"
    mount("cage", root, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=755")
    library = os.path.dirname(os.__file__)
    for path in ("/lib", "/lib64", "/usr/lib", library):
        if os.path.islink(path):
            os.symlink(os.readlink(path), root + path)
        elif os.path.isdir(path) and not os.path.isdir(root + path):
            os.makedirs(root + path)
            mount(path, root + path, "", MS_BIND | MS_REC)
            mount("none", root + path, "", MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | kept(path))
    os.makedirs(root + "/tmp")
    mount("tmp", root + "/tmp", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, f"size={tmp_bytes},mode=777,nr_inodes=1024")
    os.makedirs(root + "/old")
    os.chdir(root)
    need("root", libc.syscall(SYS_PIVOT_ROOT, b".", b"old"))
    need("old root", libc.umount2(b"/old", MNT_DETACH))
    os.rmdir("/old")
    mount("none", "/", "", MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV)
    os.chdir("/tmp")


def kept(path: str) -> int:
    """Flags that the mount below has and that may not be taken off it."""
    flags = os.statvfs(path).f_flag
    return sum(flag for flag in (MS_NOEXEC, 1024, 2048, 1 << 21) if flags & flag)


def limits(memory_bytes: int, cpu_s: int, threads: int, file_bytes: int) -> None:
    wanted = {
        resource.RLIMIT_AS: memory_bytes, resource.RLIMIT_CPU: cpu_s, resource.RLIMIT_NPROC: threads,
        resource.RLIMIT_NOFILE: FILES_MAX, resource.RLIMIT_FSIZE: file_bytes, resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MSGQUEUE: 0, resource.RLIMIT_MEMLOCK: 0,
    }  # fmt: skip
    try:
        for what, most in wanted.items():
            resource.setrlimit(what, (most, most))
    except (ValueError, OSError) as error:
        raise Missing(f"limits: {error}") from error


def drop_privileges() -> None:
    """Nobody's user, no capability in any set, and none to be gained."""
    for number in range(CAPS_MAX + 1):
        if libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0) < 0 and ctypes.get_errno() != errno.EINVAL:
            raise Missing("capabilities")
    if os.geteuid() == 0:
        os.setresgid(INSIDE, INSIDE, INSIDE)
        os.setresuid(INSIDE, INSIDE, INSIDE)
    head = ctypes.create_string_buffer(struct.pack("=II", 0x20080522, 0))
    need("capabilities", libc.syscall(SYS_CAPSET, head, ctypes.create_string_buffer(24)))
    need("no new privileges", libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def landlock() -> bool:
    """A second opinion on files and TCP, where the kernel has one."""
    version = libc.syscall(SYS_LANDLOCK_CREATE, None, 0, 1)
    if version < 1:
        return False
    files = (1 << 13) - 1
    files |= (1 << 13 if version >= 2 else 0) | (1 << 14 if version >= 3 else 0)
    net = 3 if version >= 4 else 0
    rules = struct.pack("=QQ", files, net) if version >= 4 else struct.pack("=Q", files)
    made = need("landlock", libc.syscall(SYS_LANDLOCK_CREATE, rules, len(rules), 0))
    reading = (1 << 2) | (1 << 3)
    for path, access in (("/", reading), ("/tmp", files & ~1)):
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        need("landlock", libc.syscall(SYS_LANDLOCK_ADD, made, 1, struct.pack("=Qi", access, place), 0))
        os.close(place)
    need("landlock", libc.syscall(SYS_LANDLOCK_RESTRICT, made, 0))
    os.close(made)
    return True


def filter_calls() -> None:
    """What isn't on the list answers EPERM; another architecture's calls end the process."""
    if platform.machine() != "x86_64":
        raise Missing(f"system calls: the filter knows x86-64 only, this is {platform.machine()}")
    load, equal, above, test, back = 0x20, 0x15, 0x35, 0x45, 0x06
    allow, deny, absent, kill = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS, 0x80000000
    program = [(load, 0, 0, 4), (equal, 1, 0, AUDIT_X86_64), (back, 0, 0, kill), (load, 0, 0, 0),
               (above, 0, 1, 0x40000000), (back, 0, 0, kill), (equal, 0, 1, CLONE3), (back, 0, 0, absent),
               (equal, 0, 4, CLONE), (load, 0, 0, 16), (test, 0, 1, CLONE_THREAD), (back, 0, 0, allow),
               (back, 0, 0, deny)]  # fmt: skip
    for number in ALLOWED.split():
        program += [(equal, 0, 1, int(number)), (back, 0, 0, allow)]
    program.append((back, 0, 0, deny))
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in program))
    head = ctypes.create_string_buffer(struct.pack("@HP", len(program), ctypes.addressof(code)))
    need("system calls", libc.syscall(SYS_SECCOMP, 1, 0, head))


def said(out: int, **answer: object) -> None:
    os.write(out, json.dumps(answer).encode() + b"\n")


def work(job: dict[str, object], out: int) -> None:
    """The code, inside."""
    space: dict[str, object] = {"__name__": "tool"}
    try:
        exec(compile(str(job["code"]), "tool.py", "exec"), space)
        found = space[str(job["function"])](**job["arguments"])  # type: ignore[operator,arg-type]
        text = json.dumps({"result": found})
        if len(text) > int(job["answer_bytes"]):  # type: ignore[call-overload]
            said(out, failed="too_large")
        else:
            os.write(out, text.encode() + b"\n")
    except MemoryError:
        said(out, failed="memory")
    except BaseException as error:  # noqa: BLE001 - whatever it is, its caller is told
        said(out, failed="raised", message=f"{type(error).__name__}: {error}"[:500])


def caged(job: dict[str, object], out: int) -> None:
    """The process that the code runs in: the last layers, then the code."""
    try:
        limits(*(int(job[name]) for name in ("memory_bytes", "cpu_s", "threads", "tmp_bytes")))  # type: ignore[call-overload]
        drop_privileges()
        landlock()
        need("end with its parent", libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
        filter_calls()
    except (Missing, OSError) as error:
        said(out, missing=str(error))
        os._exit(3)
    work(job, out)
    os._exit(0)


def first(job: dict[str, object], out: int) -> None:
    """The first process of the cage: waits for the code; when it ends, the kernel ends whatever is left."""
    child = os.fork()
    if child == 0:
        caged(job, out)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        said(out, failed="time" if number in (signal.SIGXCPU, signal.SIGKILL) else "crashed", signal=number)
    os._exit(0)


def main() -> int:
    out = os.dup(1)
    os.dup2(2, 1)  # what the code prints is not its answer
    job = json.loads(sys.stdin.buffer.readline(LINE_MAX_BYTES))
    os.close(0)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # whoever asked has ended: so does this
    try:
        os.umask(0o022)
        enter_namespaces()
        child = os.fork()
        if child == 0:
            try:
                need("end with its parent", libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
                own_root(int(job["tmp_bytes"]))
            except (Missing, OSError) as error:
                said(out, missing=str(error))
                os._exit(3)
            first(job, out)
    except (Missing, OSError) as error:
        said(out, missing=str(error))
        return 3
    until = time.monotonic() + float(job["wall_s"])
    while time.monotonic() < until:
        done, _ = os.waitpid(child, os.WNOHANG)
        if done:
            return 0
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    said(out, failed="time", signal=0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
