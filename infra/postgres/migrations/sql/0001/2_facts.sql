-- Bitemporal facts: what happened (event_time) and from when on anyone could know it (available_at).

CREATE TABLE ai_trading.bars (
    symbol text COLLATE "C" NOT NULL,
    "interval" text COLLATE "C" NOT NULL,
    event_time timestamptz NOT NULL,
    revision integer NOT NULL CHECK (revision >= 1),
    available_at timestamptz NOT NULL,
    open double precision NOT NULL,
    high double precision NOT NULL,
    low double precision NOT NULL,
    close double precision NOT NULL,
    volume double precision NOT NULL CHECK (volume >= 0),
    source text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (symbol, "interval", event_time, revision),
    CONSTRAINT bars_known_after_event CHECK (available_at >= event_time),
    CONSTRAINT bars_low_high CHECK (low <= high)
) PARTITION BY RANGE (event_time);
CREATE INDEX bars_available_at ON ai_trading.bars (available_at);
COMMENT ON TABLE ai_trading.bars IS 'OHLCV per symbol and interval; event_time is the open of the bar. Bitemporal: a
changed row of a known key is a new revision with its own available_at. Monthly partitions.';

CREATE TABLE ai_trading.documents (
    source text COLLATE "C" NOT NULL,
    doc_id text COLLATE "C" NOT NULL,
    event_time timestamptz NOT NULL,
    revision integer NOT NULL CHECK (revision >= 1),
    available_at timestamptz NOT NULL,
    kind text NOT NULL,
    title text,
    text text NOT NULL,
    url text,
    engagement double precision,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (source, doc_id, event_time, revision),
    CONSTRAINT documents_known_after_event CHECK (available_at >= event_time)
) PARTITION BY RANGE (event_time);
CREATE INDEX documents_available_at ON ai_trading.documents (available_at);
COMMENT ON TABLE ai_trading.documents IS 'News and posts. engagement is the count known at available_at. Bitemporal.
Monthly partitions.';

CREATE TABLE ai_trading.indicators (
    name text COLLATE "C" NOT NULL,
    event_time timestamptz NOT NULL,
    revision integer NOT NULL CHECK (revision >= 1),
    available_at timestamptz NOT NULL,
    value double precision NOT NULL,
    source text NOT NULL,
    components jsonb,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (name, event_time, revision),
    CONSTRAINT indicators_known_after_event CHECK (available_at >= event_time)
);
CREATE INDEX indicators_available_at ON ai_trading.indicators (available_at);
COMMENT ON TABLE ai_trading.indicators IS 'Hourly or daily indices (fear and greed, VIX, put/call). Bitemporal.';

CREATE TABLE ai_trading.trades (
    source text COLLATE "C" NOT NULL,
    trade_id text COLLATE "C" NOT NULL,
    event_time timestamptz NOT NULL,
    revision integer NOT NULL CHECK (revision >= 1),
    available_at timestamptz NOT NULL,
    symbol text COLLATE "C" NOT NULL,
    side text NOT NULL,
    entry_price double precision NOT NULL,
    size double precision,
    closed_at timestamptz,
    exit_price double precision,
    profit_ratio double precision,
    exit_reason text,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (source, trade_id, event_time, revision),
    CONSTRAINT trades_known_after_event CHECK (available_at >= event_time)
);
CREATE INDEX trades_symbol ON ai_trading.trades (symbol, event_time);
CREATE INDEX trades_available_at ON ai_trading.trades (available_at);
COMMENT ON TABLE ai_trading.trades IS 'Executed or simulated trades with their outcomes; event_time is the opening.
Bitemporal.';
