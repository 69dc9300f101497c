"""What a process leaves for whoever comes after its death."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from shanhe.kernel.remains import Remains


class TestRemains:
    def test_that_do_not_fit_on_the_disk_as_a_whole_are_not_made(self, tmp_path: Path) -> None:
        """A disk that fills up takes a part of what is written and says so by its number alone; who counted on all of
        it would write beyond the end."""
        least, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, most))
        try:
            with pytest.raises(OSError, match="No space left"):
                Remains.make(tmp_path, ".remains", 4_096)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (least, most))
        assert list(tmp_path.iterdir()) == []
        made = Remains.make(tmp_path, ".remains", 4_096)
        assert len(made.map) == 4_096
        made.close(keep=False)
