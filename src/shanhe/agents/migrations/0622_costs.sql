-- What an organisation's runs cost, by days.
CREATE INDEX CONCURRENTLY run_spent ON agents.run (org_id, started_at);
