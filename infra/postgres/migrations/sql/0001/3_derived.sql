-- What is computed from the facts.

CREATE TABLE ai_trading.sentiment_scores (
    source text COLLATE "C" NOT NULL,
    doc_id text COLLATE "C" NOT NULL,
    event_time timestamptz NOT NULL,
    scorer text COLLATE "C" NOT NULL,
    available_at timestamptz NOT NULL,
    compound double precision NOT NULL CHECK (compound BETWEEN -1 AND 1),
    positive double precision NOT NULL,
    neutral double precision NOT NULL,
    negative double precision NOT NULL,
    PRIMARY KEY (source, doc_id, event_time, scorer)
) PARTITION BY RANGE (event_time);
CREATE INDEX sentiment_scores_available_at ON ai_trading.sentiment_scores (available_at);
COMMENT ON TABLE ai_trading.sentiment_scores IS 'Sentiment of the first revision of each document. Monthly partitions.';

CREATE TABLE ai_trading.mentions (
    source text COLLATE "C" NOT NULL,
    doc_id text COLLATE "C" NOT NULL,
    event_time timestamptz NOT NULL,
    symbol text COLLATE "C" NOT NULL,
    available_at timestamptz NOT NULL,
    label text NOT NULL,
    PRIMARY KEY (source, doc_id, event_time, symbol)
);
CREATE INDEX mentions_available_at ON ai_trading.mentions (available_at);
CREATE INDEX mentions_symbol ON ai_trading.mentions (symbol, available_at);
COMMENT ON TABLE ai_trading.mentions IS 'Which document speaks of which symbol, and its label.';

CREATE TABLE ai_trading.sentiment_aggregates (
    symbol text COLLATE "C" NOT NULL,
    "window" text COLLATE "C" NOT NULL,
    at timestamptz NOT NULL,
    available_at timestamptz NOT NULL,
    documents integer NOT NULL CHECK (documents >= 0),
    mean double precision,
    dispersion double precision,
    bullish integer NOT NULL,
    bearish integer NOT NULL,
    neutral integer NOT NULL,
    PRIMARY KEY (symbol, "window", at)
);
CREATE INDEX sentiment_aggregates_at ON ai_trading.sentiment_aggregates (at);
COMMENT ON TABLE ai_trading.sentiment_aggregates IS 'Documents with available_at in (at - window, at]; symbol * is the
whole market.';

CREATE TABLE ai_trading.snapshots (
    digest text COLLATE "C" NOT NULL CHECK (digest ~ '^[0-9a-f]{64}$'),
    kind text COLLATE "C" NOT NULL CHECK (kind IN ('training', 'partition', 'evidence')),
    line text COLLATE "C" NOT NULL,
    window_start timestamptz NOT NULL,
    window_end timestamptz NOT NULL,
    uri text NOT NULL,
    rows bigint NOT NULL CHECK (rows >= 0),
    columns jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (digest, kind, line, window_start, window_end),
    CONSTRAINT snapshots_window CHECK (window_start < window_end)
);
CREATE INDEX snapshots_window_of_line ON ai_trading.snapshots (line, kind, window_start, window_end, created_at);
COMMENT ON TABLE ai_trading.snapshots IS 'Immutable Parquet files by the SHA-256 of their content, and the windows they
stand for (an empty day and the next have the same content).';
