-- Scans whose time is over, looked for every minute.
CREATE INDEX CONCURRENTLY scan_forget ON nomads.scan (forget_on);
