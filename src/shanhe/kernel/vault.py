"""Keys that live outside PostgreSQL: one data key per person, a master key over them, and the city's own secrets.

    keys/                 0700
      master.key          0600  the ring of master keys, current one first (sealed under the root key when there is one)
      people/3f/<id>.key  0600  one person's data key, wrapped by a master key
      secrets/<name>.key  0600  one secret of the city, wrapped by a master key
      destroyed           0600  ids of people whose key was destroyed, one a line

A deleted row lingers in the write-ahead log and in backups of the database, but its key does not: to erase a person
is to destroy the key. Overwriting a file promises little on flash and copy-on-write file systems, so `rotate_master`
after an erasure makes whatever is left of the old wrapped key unreadable too. Back this folder up apart from the
database, and keep such backups no longer than erasure may take.

AES-256-GCM with 96-bit random nonces (NIST SP 800-38D); the person and the field are authenticated with every value,
so a ciphertext moved to another row or column does not open.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from uuid import UUID

from shanhe.kernel.box import NONCE_BYTES, Box, BoxRefused
from shanhe.kernel.errors import Conflict, Invalid, NotFound, ShanheError
from shanhe.kernel.files import drafted, replaced, synced

KEY_BYTES = 32
MASTER_ID_BYTES = 8
VALUE_VERSION = b"\x01"
WRAP_MAGIC = b"SHV1"
SEALED_MAGIC = b"SHR1"
WRAPPED_BYTES = len(WRAP_MAGIC) + MASTER_ID_BYTES + NONCE_BYTES + KEY_BYTES + 16
TEXT_MAX_BYTES = 64 * 1024
INDEX_SECRET = "blind-index"
REWRAP_BATCH = 64
"""Keys wrapped anew before others, who want to make one, have their turn."""
Progress = Callable[[int, int], None]
DESTROYED = "destroyed"
LINE_SHOWN = 80
"""Characters of a line that cannot be read, in the words about it."""
SECRET_NAME = re.compile(r"^[a-z0-9][a-z0-9-]{0,63}\Z")


class PersonErased(NotFound):
    """The person's key is gone: erased, or never made here."""

    def __init__(self, person_id: UUID) -> None:
        super().__init__(
            "person_erased",
            f"The data of person {person_id} cannot be read: its key no longer exists.",
            message_zh="此人的数据已被清除，无法读取。",
            hint="An erased person cannot be brought back; a lost key folder can, from its backup.",
            hint_zh="已清除的数据无法恢复；若密钥目录丢失，请从备份恢复。",
        )


class VaultDamaged(ShanheError):
    """A key file or a value fails its authentication: altered, moved, or under another master key."""

    default_status = 500

    def __init__(self, what: str) -> None:
        super().__init__(
            "vault_damaged",
            f"{what} does not open with the keys of this city.",
            message_zh="数据与本城密钥不匹配，无法解密。",
            hint="Check that the database and the keys folder belong together; restore the keys from their backup.",
            hint_zh="请检查数据库与密钥目录是否配套，必要时从备份恢复密钥。",
        )


class VaultLocked(VaultDamaged):
    """SHANHE_VAULT_KEY does not open the master key file."""

    WHY: ClassVar = {
        "unset": (
            "The master key is sealed, and SHANHE_VAULT_KEY is not set.", "主密钥已封存，但未设置 SHANHE_VAULT_KEY。",
            "Set what it was sealed with, for commands as for the city.", "请设置封存时所用的值，命令行与城市都需要。",
        ),
        "other": (
            "The master key is sealed with another SHANHE_VAULT_KEY.", "主密钥是用另一个 SHANHE_VAULT_KEY 封存的。",
            "Set the one that it was sealed with, or as SHANHE_VAULT_KEY_BEFORE for `shanhe vault seal`.",
            "请设置封存时所用的值；要更换时把它设为 SHANHE_VAULT_KEY_BEFORE 并运行 `shanhe vault seal`。",
        ),
        "plain": (
            "SHANHE_VAULT_KEY is set, and the master key is not sealed.", "已设置 SHANHE_VAULT_KEY，但主密钥尚未封存。",
            "Stop the city and run `shanhe vault seal` once.", "请停止城市，运行一次 `shanhe vault seal`。",
        ),
    }  # fmt: skip

    def __init__(self, why: str) -> None:
        super().__init__("The master key file")
        self.code = "vault_locked"
        self.message, self.message_zh, self.hint, self.hint_zh = self.WHY[why]


@dataclass(frozen=True, slots=True)
class Standing:
    """What a keys folder holds."""

    people: int
    secrets: int
    masters: int
    sealed: bool


def _silent(done: int, total: int) -> None:
    """Nobody watches."""


class PersonKey:
    """One person's key, opened: for many values at once. Keep it no longer than that, or an erasure comes too late."""

    def __init__(self, person_id: UUID, key: bytes) -> None:
        self._person = person_id
        self._box = Box(key)

    def encrypt(self, field: str, text: str) -> bytes:
        """Version, nonce, ciphertext and tag of `text`, bound to the person and the field."""
        data = text.encode()
        if len(data) > TEXT_MAX_BYTES:
            raise Invalid("text_too_long", f"The field {field} takes at most {TEXT_MAX_BYTES} bytes.")
        return self.encrypt_bytes(field, data)

    def encrypt_bytes(self, field: str, data: bytes) -> bytes:
        """The same of bytes, however many; the caller bounds them."""
        return VALUE_VERSION + self._box.seal(data, _aad(self._person, field))

    def decrypt(self, field: str, value: bytes) -> str:
        """The text that `encrypt` sealed for the same field; VaultDamaged."""
        try:
            return self.decrypt_bytes(field, value).decode()
        except UnicodeDecodeError as error:
            raise VaultDamaged(f"A value of {field}") from error

    def decrypt_bytes(self, field: str, value: bytes) -> bytes:
        """The bytes that `encrypt_bytes` sealed for the same field; VaultDamaged."""
        if value[:1] != VALUE_VERSION:
            raise VaultDamaged(f"A value of {field}")
        try:
            return self._box.open(value[1:], _aad(self._person, field))
        except BoxRefused as error:
            raise VaultDamaged(f"A value of {field}") from error


class Vault:
    """Opens (and on first use makes) the keys folder; several processes may share it.

    `root_key`: 32 bytes from outside the machine's disk that seal the master ring; None keeps it as a plain 0600 file.
    Holds no person's key in memory: erasure in one process is at once erasure in all.
    """

    def __init__(self, folder: Path, *, root_key: bytes | None = None) -> None:
        self._folder = folder
        self._root = _checked(root_key)
        self._people = folder / "people"
        self._secrets_folder = folder / "secrets"
        self._ring_path = folder / "master.key"
        for path in (folder, self._people, self._secrets_folder):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.chmod(0o700)
        self._ring: list[tuple[bytes, bytes]] = []
        self._secrets: dict[str, bytes] = {}
        self._make_ring()

    # -- people ------------------------------------------------------------------------------------------------------

    def create(self, person_id: UUID) -> None:
        """Make the person's key; nothing when there is one already."""
        with self._lock(fcntl.LOCK_SH):
            self._load_ring()
            path = self._person_path(person_id)
            path.parent.mkdir(mode=0o700, exist_ok=True)
            _create_exclusively(path, self._wrap(secrets.token_bytes(KEY_BYTES), person_id.bytes))

    def exists(self, person_id: UUID) -> bool:
        return self._person_path(person_id).exists()

    def encrypt(self, person_id: UUID, field: str, text: str) -> bytes:
        """Version, nonce, ciphertext and tag of `text`, bound to the person and the field; PersonErased without key."""
        return self.opened(person_id).encrypt(field, text)

    def decrypt(self, person_id: UUID, field: str, value: bytes) -> str:
        """The text that `encrypt` sealed for the same person and field; PersonErased, VaultDamaged."""
        return self.opened(person_id).decrypt(field, value)

    def opened(self, person_id: UUID) -> PersonKey:
        """The person's key for a batch of values; PersonErased without one."""
        return PersonKey(person_id, self._person_key(person_id))

    def blind_index(self, field: str, normalised_value: str) -> bytes:
        """A keyed hash to look a value up by, without storing it (HMAC-SHA-256; the field separates domains)."""
        message = field.encode() + b"\x00" + normalised_value.encode()
        return hmac.digest(self.secret(INDEX_SECRET), message, hashlib.sha256)

    def destroy(self, person_id: UUID) -> bool:
        """Overwrite and unlink the person's key; False when it was gone already."""
        path = self._person_path(person_id)
        with self._lock(fcntl.LOCK_SH):
            try:
                descriptor = os.open(path, os.O_WRONLY)
            except FileNotFoundError:
                return False
            try:
                self._remember(person_id)  # before: asked again after a crash, there is nothing left to destroy
                os.write(descriptor, secrets.token_bytes(WRAPPED_BYTES))
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            path.unlink(missing_ok=True)
            synced(path.parent)
        return True

    def destroyed(self) -> list[UUID]:
        """Whose key was destroyed, here or before this folder was restored; people, and lines and days with a key."""
        try:
            return people_listed((self._folder / DESTROYED).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return []

    def _remember(self, person_id: UUID) -> None:
        """Note the id, which says nothing of anybody, so that an older backup of the keys does not bring them back."""
        descriptor = os.open(self._folder / DESTROYED, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, f"{person_id}\n".encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    # -- secrets of the city -----------------------------------------------------------------------------------------

    def secret(self, name: str) -> bytes:
        """32 random bytes called `name`, made on first use; every process of the city gets the same ones."""
        known = self._secrets.get(name)
        if known is not None:
            return known
        if not SECRET_NAME.match(name):
            raise Invalid("bad_secret_name", f"{name!r} cannot name a secret.")
        path = self._secrets_folder / f"{name}.key"
        with self._lock(fcntl.LOCK_SH):
            self._load_ring()
            if not path.exists():
                _create_exclusively(path, self._wrap(secrets.token_bytes(KEY_BYTES), name.encode()))
            value = self._unwrap(path.read_bytes(), name.encode())
        self._secrets[name] = value
        return value

    # -- master keys -------------------------------------------------------------------------------------------------

    def rotate_master(self, progress: Progress = _silent) -> int:
        """Make a new master key, wrap every key with it, forget the old ones; returns how many keys were wrapped.

        Beside a running city: others wait for one batch at most. Safe to repeat after an interruption: the ring keeps
        the old keys until every file is under the new one. Conflict while another rotation goes on.
        """
        with self._alone():
            with self._lock(fcntl.LOCK_EX):
                self._load_ring()
                self._ring.insert(0, (secrets.token_bytes(MASTER_ID_BYTES), secrets.token_bytes(KEY_BYTES)))
                replaced(self._ring_path, self._seal_ring())
            # Whoever makes a key from here on reads the ring first, and wraps with the new master.
            files = [(path, UUID(path.stem).bytes) for path in sorted(self._people.glob("*/*.key"))]
            files += [(path, path.stem.encode()) for path in sorted(self._secrets_folder.glob("*.key"))]
            wrapped = 0
            for start in range(0, len(files), REWRAP_BATCH):
                progress(start, len(files))
                with self._lock(fcntl.LOCK_EX):
                    wrapped += sum(self._rewrap(path, owner) for path, owner in files[start : start + REWRAP_BATCH])
            with self._lock(fcntl.LOCK_EX):
                del self._ring[1:]
                replaced(self._ring_path, self._seal_ring())
            progress(len(files), len(files))
            return wrapped

    def seal(self, root_key: bytes | None) -> None:
        """Seal the master ring with another root key, or (None) keep it plain. Processes that were given the one before
        can make and look up no key until they are started again with this one: for a city that is stopped."""
        with self._alone(), self._lock(fcntl.LOCK_EX):
            self._load_ring()
            self._root = _checked(root_key)
            replaced(self._ring_path, self._seal_ring())

    def _rewrap(self, path: Path, owner: bytes) -> bool:
        try:
            data = path.read_bytes()
        except FileNotFoundError:  # erased meanwhile
            return False
        replaced(path, self._wrap(self._unwrap(data, owner), owner))
        return True

    def standing(self) -> Standing:
        """What the folder holds; more than one master key means that a rotation was interrupted."""
        with self._lock(fcntl.LOCK_SH):
            self._load_ring()
            people, made = (sum(1 for _ in found) for found in (self._people.glob("*/*.key"), self._city_keys()))
            return Standing(people, made, len(self._ring), self._root is not None)

    def _city_keys(self) -> Iterator[Path]:
        return self._secrets_folder.glob("*.key")

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """One rotation at a time: two would wrap each other's files with a key that the other forgets."""
        descriptor = os.open(self._folder / "rotating", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise Conflict(
                    "already_rotating", "The master key is being rotated by another command.",
                    message_zh="另一条命令正在轮换主密钥。",
                    hint="Wait for it; `shanhe vault status` tells when it is done.",
                    hint_zh="请等待其完成；`shanhe vault status` 可查看进度。",
                ) from None  # fmt: skip
            yield
        finally:
            os.close(descriptor)

    def _make_ring(self) -> None:
        if not self._ring_path.exists():
            self._ring = [(secrets.token_bytes(MASTER_ID_BYTES), secrets.token_bytes(KEY_BYTES))]
            _create_exclusively(self._ring_path, self._seal_ring())  # another process may have been first
        self._load_ring()

    def _seal_ring(self) -> bytes:
        plain = "".join(f"{name.hex()} {base64.b64encode(key).decode()}\n" for name, key in self._ring).encode()
        if self._root is None:
            return plain
        return SEALED_MAGIC + Box(self._root).seal(plain, SEALED_MAGIC)

    def _load_ring(self) -> None:
        data = self._ring_path.read_bytes()
        sealed = data.startswith(SEALED_MAGIC)
        if sealed != (self._root is not None):
            raise VaultLocked("unset" if sealed else "plain")
        if sealed and self._root is not None:
            try:
                data = Box(self._root).open(data.removeprefix(SEALED_MAGIC), SEALED_MAGIC)
            except BoxRefused as error:
                raise VaultLocked("other") from error
        try:
            pairs = [line.split() for line in data.decode().splitlines()]
            self._ring = [(bytes.fromhex(name), base64.b64decode(key, validate=True)) for name, key in pairs]
        except ValueError as error:
            raise VaultDamaged("The master key file") from error

    # -- wrapping ----------------------------------------------------------------------------------------------------

    def _wrap(self, key: bytes, owner: bytes) -> bytes:
        name, master = self._ring[0]
        return WRAP_MAGIC + name + Box(master).seal(key, WRAP_MAGIC + owner)

    def _unwrap(self, data: bytes, owner: bytes) -> bytes:
        if len(data) != WRAPPED_BYTES or not data.startswith(WRAP_MAGIC):
            raise VaultDamaged("A key file")
        named = data.removeprefix(WRAP_MAGIC)
        name, sealed = named[:MASTER_ID_BYTES], named[MASTER_ID_BYTES:]
        master = self._master(name)
        if master is None:  # another process has rotated since
            self._load_ring()
            master = self._master(name)
        if master is None:
            raise VaultDamaged("A key file")
        try:
            return Box(master).open(sealed, WRAP_MAGIC + owner)
        except BoxRefused as error:
            raise VaultDamaged("A key file") from error

    def _master(self, name: bytes) -> bytes | None:
        return next((key for known, key in self._ring if known == name), None)

    def _person_key(self, person_id: UUID) -> bytes:
        try:
            data = self._person_path(person_id).read_bytes()
        except FileNotFoundError:
            raise PersonErased(person_id) from None
        return self._unwrap(data, person_id.bytes)

    def _person_path(self, person_id: UUID) -> Path:
        # The last digits of a UUIDv7 are random, the first ones are time: folders fill evenly.
        return self._people / person_id.hex[-2:] / f"{person_id}.key"

    @contextlib.contextmanager
    def _lock(self, kind: int) -> Iterator[None]:
        """Rotation excludes everything that writes keys; the rest goes on together."""
        descriptor = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, kind)
            yield
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def still(folder: Path) -> Iterator[bool]:
    """Hold rotations off while the folder is copied from outside; whether its ring is sealed under a root key."""
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield (folder / "master.key").read_bytes().startswith(SEALED_MAGIC)
    finally:
        os.close(descriptor)


def people_listed(text: str) -> list[UUID]:
    """The people that a copy of DATA/keys/destroyed lists, one id a line; Invalid (`erased_unreadable`) names a line
    that is none: a list that is half read would bring somebody's data back."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        word = line.strip().lstrip("\ufeff")
        if not word:
            continue
        try:
            found.append(UUID(word))
        except ValueError:
            raise Invalid(
                "erased_unreadable", f"Line {number} of the list of erased people is no id: {word[:LINE_SHOWN]!r}.",
                message_zh=f"已删除人员名单第 {number} 行不是编号：{word[:LINE_SHOWN]!r}。",
                hint="Take a copy of DATA/keys/destroyed as it is, one id a line; nothing was restored.",
                hint_zh="请使用 DATA/keys/destroyed 的原样副本，每行一个编号；未恢复任何内容。",
            ) from None  # fmt: skip
    return found


def destroy_again(folder: Path, people: Sequence[UUID]) -> int:
    """Destroy the keys of listed people in a folder out of an older backup; how many there were.

    Its own list then names them, too: the next restore is given this one.
    """
    vault_people, done, noted = folder / "people", 0, folder / DESTROYED
    known = set(noted.read_text(encoding="utf-8").split()) if noted.exists() else set[str]()
    new = [str(person) for person in dict.fromkeys(people) if str(person) not in known]
    if new:
        replaced(noted, "".join(f"{one}\n" for one in sorted(known) + new).encode())
    for person in people:
        path = vault_people / person.hex[-2:] / f"{person}.key"
        done += path.exists()
        path.unlink(missing_ok=True)
    return done


def _aad(person_id: UUID, field: str) -> bytes:
    return b"shanhe.vault\x00" + VALUE_VERSION + person_id.bytes + field.encode()


def _create_exclusively(path: Path, data: bytes) -> bool:
    """Put a whole, durable file at `path` unless there is one; a link, since O_EXCL alone would show a half one."""
    draft = drafted(path, data)
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    synced(path.parent)
    return True


def _checked(root_key: bytes | None) -> bytes | None:
    if root_key is not None and len(root_key) != KEY_BYTES:
        raise Invalid(
            "bad_vault_key",
            f"The vault's root key has {len(root_key)} bytes; it needs {KEY_BYTES}.",
            message_zh=f"保险库根密钥应为 {KEY_BYTES} 字节。",
            hint="Make one with: openssl rand -base64 32",
            hint_zh="可用 openssl rand -base64 32 生成。",
        )
    return root_key
