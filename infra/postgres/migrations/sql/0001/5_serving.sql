-- Predictions, what came of them, and what monitoring found.

CREATE TABLE ai_trading.predictions (
    line text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    symbol text COLLATE "C" NOT NULL,
    event_time timestamptz NOT NULL,
    role text NOT NULL CHECK (role IN ('champion', 'challenger')),
    available_at timestamptz NOT NULL,
    label_end timestamptz NOT NULL,
    probability double precision NOT NULL CHECK (probability BETWEEN 0 AND 1),
    feature_digest text NOT NULL,
    PRIMARY KEY (line, version, symbol, event_time),
    FOREIGN KEY (line, version) REFERENCES ai_trading.candidates,
    CONSTRAINT predictions_before_outcome CHECK (available_at < label_end)
) PARTITION BY RANGE (event_time);
CREATE INDEX predictions_available_at ON ai_trading.predictions (line, available_at);
COMMENT ON TABLE ai_trading.predictions IS 'P(y = 1) per row, written before the outcome can be known. Monthly
partitions.';

CREATE TABLE ai_trading.outcomes (
    line text COLLATE "C" NOT NULL,
    symbol text COLLATE "C" NOT NULL,
    event_time timestamptz NOT NULL,
    y integer NOT NULL CHECK (y IN (0, 1)),
    forward_return double precision,
    label_end timestamptz NOT NULL,
    matured_at timestamptz NOT NULL,
    PRIMARY KEY (line, symbol, event_time),
    CONSTRAINT outcomes_matured CHECK (matured_at >= label_end)
);
CREATE INDEX outcomes_label_end ON ai_trading.outcomes (line, label_end);
COMMENT ON TABLE ai_trading.outcomes IS 'What came of the rows that were predicted, once their label is known.';

CREATE TABLE ai_trading.drift_reports (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    line text COLLATE "C" NOT NULL,
    as_of timestamptz NOT NULL,
    champion_version integer,
    reference_digest text,
    share double precision,
    data_drift boolean NOT NULL,
    prediction_drift boolean NOT NULL,
    performance_drift boolean NOT NULL,
    rows integer NOT NULL,
    columns jsonb NOT NULL,
    metrics jsonb NOT NULL,
    evidently jsonb,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT drift_reports_line_as_of UNIQUE (line, as_of),
    FOREIGN KEY (line, champion_version) REFERENCES ai_trading.candidates (line, version)
);
COMMENT ON TABLE ai_trading.drift_reports IS 'What monitoring found for a line as of a time.';
