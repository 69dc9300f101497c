-- When trading last went on after a pause: auctions that had closed by then are not held any more.
ALTER TABLE exchange.market ADD COLUMN resumed_us bigint NOT NULL DEFAULT 0;
