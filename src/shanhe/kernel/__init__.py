"""Ground that every module stands on: database, embedded PostgreSQL, migrations, clock, ids, money, errors, jobs."""
