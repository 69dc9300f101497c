SELECT rule_id, version FROM rulebook.shown
