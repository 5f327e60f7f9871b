-- Refused input, events, and which partitions are done.

CREATE TABLE ai_trading.quarantine (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest text COLLATE "C" NOT NULL UNIQUE,
    source text NOT NULL,
    kind text NOT NULL,
    reason text NOT NULL,
    payload jsonb NOT NULL,
    event_time timestamptz,
    recorded_at timestamptz NOT NULL,
    replayed_at timestamptz
);
CREATE INDEX quarantine_waiting ON ai_trading.quarantine (kind, id) WHERE replayed_at IS NULL;
COMMENT ON TABLE ai_trading.quarantine IS 'Refused rows, whole, with the reason; replayed after a fix.';

CREATE TABLE ai_trading.system_events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    kind text COLLATE "C" NOT NULL,
    line text COLLATE "C",
    detail jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX system_events_at ON ai_trading.system_events (at);
CREATE INDEX system_events_kind ON ai_trading.system_events (kind, at);
COMMENT ON TABLE ai_trading.system_events IS 'What happened to the system: repairs, lateness, failures.';

CREATE TABLE ai_trading.loads (
    dataset text COLLATE "C" NOT NULL,
    window_start timestamptz NOT NULL,
    window_end timestamptz NOT NULL,
    rows bigint NOT NULL,
    digest text,
    loaded_at timestamptz NOT NULL,
    PRIMARY KEY (dataset, window_start, window_end),
    CONSTRAINT loads_window CHECK (window_start < window_end)
);
COMMENT ON TABLE ai_trading.loads IS 'Which partitions of which dataset have been processed.';
