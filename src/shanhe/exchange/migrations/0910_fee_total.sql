-- What a market's settled trades brought in up to an event, so that the fund's page reads only what came since.
CREATE TABLE exchange.fee_total (
  market   text PRIMARY KEY REFERENCES exchange.matcher,
  seq      bigint NOT NULL CHECK (seq >= 0),
  fees_fen bigint NOT NULL CHECK (fees_fen >= 0),
  trades   bigint NOT NULL CHECK (trades >= 0)
);
INSERT INTO exchange.fee_total (market, seq, fees_fen, trades)
  SELECT m.market, m.settled, coalesce(sum(t.fee_fen), 0), count(t.id)
  FROM exchange.matcher m LEFT JOIN exchange.trade t ON t.market = m.market AND t.seq <= m.settled GROUP BY 1, 2;
