-- How often a node was let out of quarantine: what was found against it before that is not written down after it.
ALTER TABLE pool.node ADD COLUMN cleared integer NOT NULL DEFAULT 0;
