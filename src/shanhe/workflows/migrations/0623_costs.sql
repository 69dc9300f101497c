-- What an organisation's runs cost, by days.
CREATE INDEX CONCURRENTLY workflow_run_spent ON workflows.run (org_id, made_at);
