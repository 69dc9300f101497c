from __future__ import annotations

import multiprocessing
import os
import shutil
import stat
from pathlib import Path
from uuid import uuid4

import pytest

from shanhe.kernel.errors import Conflict, Invalid
from shanhe.kernel.vault import PersonErased, Vault, VaultDamaged, VaultLocked, destroy_again, people_listed


def first_secret(folder: str, results: object) -> None:
    vault = Vault(Path(folder))
    results.put(vault.secret("csrf"))  # type: ignore[attr-defined]


class TestVault:
    def test_opens_what_it_sealed_and_only_there(self, vault: Vault) -> None:
        one, other = uuid4(), uuid4()
        vault.create(one)
        vault.create(other)
        sealed = vault.encrypt(one, "name", "张伟")
        assert vault.decrypt(one, "name", sealed) == "张伟"
        assert "张伟".encode() not in sealed
        assert sealed != vault.encrypt(one, "name", "张伟")
        for person, field in ((other, "name"), (one, "phone")):
            with pytest.raises(VaultDamaged):
                vault.decrypt(person, field, sealed)
        with pytest.raises(VaultDamaged):
            vault.decrypt(one, "name", sealed[:-1] + bytes([sealed[-1] ^ 1]))

    def test_keeps_its_files_to_itself(self, vault: Vault, tmp_path: Path) -> None:
        vault.create(uuid4())
        vault.secret("csrf")
        for path in (tmp_path / "keys").rglob("*"):
            wanted = 0o700 if path.is_dir() else 0o600
            assert stat.S_IMODE(path.stat().st_mode) == wanted, path

    def test_cannot_read_a_person_whose_key_is_destroyed_even_from_another_process(
        self, vault: Vault, tmp_path: Path
    ) -> None:
        person = uuid4()
        vault.create(person)
        sealed = vault.encrypt(person, "name", "张伟")
        elsewhere = Vault(tmp_path / "keys")
        assert elsewhere.decrypt(person, "name", sealed) == "张伟"
        assert vault.destroy(person)
        assert not vault.destroy(person)
        for each in (vault, elsewhere):
            with pytest.raises(PersonErased):
                each.decrypt(person, "name", sealed)
            with pytest.raises(PersonErased):
                each.encrypt(person, "name", "back again")
        assert not list((tmp_path / "keys" / "people").rglob("*.key"))

    def test_overwrites_the_key_before_it_lets_go(self, vault: Vault, tmp_path: Path) -> None:
        person = uuid4()
        vault.create(person)
        path = next((tmp_path / "keys" / "people").rglob("*.key"))
        kept = tmp_path / "kept"
        os.link(path, kept)
        before = kept.read_bytes()
        vault.destroy(person)
        assert kept.read_bytes() != before

    def test_rotates_its_master_key_under_processes_that_go_on(self, vault: Vault, tmp_path: Path) -> None:
        person, secret = uuid4(), vault.secret("csrf")
        vault.create(person)
        sealed = vault.encrypt(person, "name", "张伟")
        old_files = {path: path.read_bytes() for path in (tmp_path / "keys" / "people").rglob("*.key")}
        elsewhere = Vault(tmp_path / "keys")
        assert vault.rotate_master() == 2
        assert len((tmp_path / "keys" / "master.key").read_text().splitlines()) == 1
        assert elsewhere.decrypt(person, "name", sealed) == "张伟"
        assert elsewhere.secret("csrf") == secret == Vault(tmp_path / "keys").secret("csrf")
        for path, data in old_files.items():  # what a disk may still hold of the old file is worthless now
            path.write_bytes(data)
        with pytest.raises(VaultDamaged):
            vault.decrypt(person, "name", sealed)

    def test_goes_on_with_a_rotation_that_was_interrupted(
        self, vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        people = [uuid4() for _ in range(5)]
        for person in people:
            vault.create(person)
        sealed = {person: vault.encrypt(person, "name", str(person)) for person in people}
        real, done = Vault._rewrap, 0

        def killed(self: Vault, path: Path, owner: bytes) -> bool:
            nonlocal done
            done += 1
            if done == 3:
                raise KeyboardInterrupt
            return real(self, path, owner)

        monkeypatch.setattr(Vault, "_rewrap", killed)
        with pytest.raises(KeyboardInterrupt):
            vault.rotate_master()
        monkeypatch.setattr(Vault, "_rewrap", real)
        again = Vault(tmp_path / "keys")
        assert again.standing().masters == 2
        late = uuid4()
        again.create(late)
        vault.destroy(people[4])
        assert all(again.decrypt(person, "name", sealed[person]) == str(person) for person in people[:4])
        steps: list[tuple[int, int]] = []
        assert again.rotate_master(lambda step, total: steps.append((step, total))) == 5
        assert steps == [(0, 5), (5, 5)]
        assert again.standing().masters == 1
        assert all(vault.decrypt(person, "name", sealed[person]) == str(person) for person in people[:4])
        with pytest.raises(PersonErased):
            again.decrypt(people[4], "name", sealed[people[4]])

    def test_of_an_older_backup_does_not_bring_back_who_was_erased(self, vault: Vault, tmp_path: Path) -> None:
        gone, there = uuid4(), uuid4()
        for person in (gone, there):
            vault.create(person)
        shutil.copytree(tmp_path / "keys", tmp_path / "older")
        vault.destroy(gone)
        listed = (tmp_path / "keys" / "destroyed").read_text()
        assert listed == f"{gone}\n"
        assert destroy_again(tmp_path / "older", people_listed(listed)) == 1
        older = Vault(tmp_path / "older")
        assert (older.exists(gone), older.exists(there)) == (False, True)

    @pytest.mark.parametrize("line", ["nobody", "01a21b00-9d5f-7442-82fb-0b14252731", f"{uuid4()} {uuid4()}"])
    def test_refuses_a_list_of_erased_people_that_it_cannot_read(self, line: str) -> None:
        gone = uuid4()
        assert people_listed(f"\ufeff{gone}\r\n\n") == [gone]
        with pytest.raises(Invalid, match="Line 3") as refused:
            people_listed(f"{gone}\n\n{line}\n")
        assert refused.value.code == "erased_unreadable"

    def test_of_an_older_backup_names_who_was_erased_to_the_next_restore(self, vault: Vault, tmp_path: Path) -> None:
        first, second = uuid4(), uuid4()
        vault.create(first)
        vault.create(second)
        vault.destroy(first)
        shutil.copytree(tmp_path / "keys", tmp_path / "older")
        vault.destroy(second)
        listed = (tmp_path / "keys" / "destroyed").read_text()
        assert destroy_again(tmp_path / "older", people_listed(listed)) == 1
        assert destroy_again(tmp_path / "older", people_listed(listed)) == 0
        noted = tmp_path / "older" / "destroyed"
        assert noted.read_text() == f"{first}\n{second}\n"
        assert noted.stat().st_mode & 0o777 == 0o600

    def test_is_rotated_by_one_at_a_time(self, vault: Vault, tmp_path: Path) -> None:
        vault.create(uuid4())

        def meddle(*_: int) -> None:
            with pytest.raises(Conflict, match="another command"):
                Vault(tmp_path / "keys").rotate_master()

        assert vault.rotate_master(meddle) == 1

    def test_needs_the_root_key_that_sealed_it(self, tmp_path: Path) -> None:
        root = os.urandom(32)
        secret = Vault(tmp_path / "sealed", root_key=root).secret("csrf")
        assert Vault(tmp_path / "sealed", root_key=root).secret("csrf") == secret
        for wrong in (None, os.urandom(32)):
            with pytest.raises(VaultDamaged):
                Vault(tmp_path / "sealed", root_key=wrong)
        with pytest.raises(Invalid):
            Vault(tmp_path / "short", root_key=b"short")

    def test_is_sealed_later_and_with_another_root_key(self, tmp_path: Path) -> None:
        """A city that was begun without SHANHE_VAULT_KEY gets one; one that leaked is replaced."""
        person, folder = uuid4(), tmp_path / "keys"
        plain = Vault(folder)
        plain.create(person)
        written, secret = plain.encrypt(person, "name", "张伟"), plain.secret("csrf")
        with pytest.raises(VaultLocked, match=r"The master key file") as told:
            Vault(folder, root_key=os.urandom(32))
        assert "shanhe vault seal" in told.value.hint
        was: bytes | None = None
        for root in (os.urandom(32), os.urandom(32), None):
            Vault(folder, root_key=was).seal(root)
            with pytest.raises(VaultLocked):
                Vault(folder, root_key=was)
            again = Vault(folder, root_key=root)
            assert again.decrypt(person, "name", written) == "张伟"
            assert again.secret("csrf") == secret
            assert again.standing().sealed is (root is not None)
            was = root

    def test_gives_every_process_the_same_secret(self, tmp_path: Path) -> None:
        context = multiprocessing.get_context("spawn")
        results = context.Queue()
        folder = str(tmp_path / "shared")
        workers = [context.Process(target=first_secret, args=(folder, results)) for _ in range(2)]
        for worker in workers:
            worker.start()
        values = {results.get(timeout=60) for _ in workers}
        for worker in workers:
            worker.join(timeout=60)
        assert len(values) == 1
        assert len(next(iter(values))) == 32

    def test_indexes_blindly(self, vault: Vault) -> None:
        assert vault.blind_index("email", "a@b.cn") == vault.blind_index("email", "a@b.cn")
        assert vault.blind_index("email", "a@b.cn") != vault.blind_index("login", "a@b.cn")

    @pytest.mark.parametrize("name", ["../master", "", "A", "x" * 65, "a/b", "csrf\n"])
    def test_refuses_names_that_are_paths(self, vault: Vault, name: str) -> None:
        with pytest.raises(Invalid):
            vault.secret(name)
