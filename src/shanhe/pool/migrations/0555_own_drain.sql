-- Whether a drain is the owner's own: what an owner stopped, the owner may start again; what the city stopped, only the city.
ALTER TABLE pool.node ADD COLUMN own_drain boolean NOT NULL DEFAULT false,
  ADD CONSTRAINT node_own_drain CHECK (NOT own_drain OR state = 'draining');
