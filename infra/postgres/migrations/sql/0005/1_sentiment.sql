-- Aggregates every ten minutes, with copies folded, weights, confidence and coverage; and what sources are worth.

-- Rows of the hourly grid stay as they are until their partition is scored again. What was not known of them is what
-- was assumed then: no copies, everything collected; nothing was said about confidence.
ALTER TABLE ai_trading.sentiment_aggregates
    ADD COLUMN duplicates integer NOT NULL DEFAULT 0 CHECK (duplicates >= 0),
    ADD COLUMN weighted double precision,
    ADD COLUMN confidence double precision NOT NULL DEFAULT 0 CHECK (confidence BETWEEN 0 AND 1),
    ADD COLUMN coverage double precision NOT NULL DEFAULT 1 CHECK (coverage BETWEEN 0 AND 1);
-- Nobody asks for a time without a symbol and a window, and at six times the rows its upkeep is felt.
DROP INDEX ai_trading.sentiment_aggregates_at;
COMMENT ON TABLE ai_trading.sentiment_aggregates IS 'Every ten minutes: documents with available_at in (at - window, at],
near-duplicates counted once; symbol * is the whole market. coverage is the share of the window in which documents were
collected, as known at the time; at 0, documents = 0 means that nothing is known.';

CREATE TABLE ai_trading.source_credibility (
    source text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    at timestamptz NOT NULL,
    available_at timestamptz NOT NULL,
    weight double precision NOT NULL CHECK (weight BETWEEN 0.25 AND 2),
    n integer NOT NULL CHECK (n >= 0),
    hits double precision NOT NULL CHECK (hits BETWEEN 0 AND n),
    PRIMARY KEY (source, kind, at),
    CONSTRAINT source_credibility_known CHECK (available_at <= at)
);
COMMENT ON TABLE ai_trading.source_credibility IS 'What documents of a source that become available on the UTC day from
at on weigh: the configured weight, moved by the share of hits among the n source-symbol-days that had matured by at.';

-- The latest value of each index that is in the warehouse. As of an earlier time: tidemark mood --as-of.
CREATE VIEW ai_trading.market_mood AS
SELECT DISTINCT ON (name) name, value, event_time, available_at, available_at - event_time AS lag,
       clock_timestamp() - event_time AS age, source
FROM ai_trading.indicators
WHERE name IN ('fear_greed', 'vix', 'put_call')
ORDER BY name, event_time DESC, available_at DESC, revision DESC;
COMMENT ON VIEW ai_trading.market_mood IS 'The newest value of fear & greed, VIX and put/call, its lag (from the day it
describes to when it was public) and its age.';
