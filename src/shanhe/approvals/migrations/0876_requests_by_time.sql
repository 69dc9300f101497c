-- Requests for a second person, the newest first, of one kind or state too.
CREATE INDEX request_newest ON approvals.request (requested_at DESC, id DESC);
