SELECT EXISTS (SELECT 1 FROM rulebook.edition WHERE edition = $1)
