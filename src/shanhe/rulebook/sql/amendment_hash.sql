SELECT sha256 FROM rulebook.amendment WHERE id = $1
