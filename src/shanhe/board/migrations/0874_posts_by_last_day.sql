-- Open posts whose last day is past, looked for every minute.
CREATE INDEX post_until ON board.post (until) WHERE state = 'open';
