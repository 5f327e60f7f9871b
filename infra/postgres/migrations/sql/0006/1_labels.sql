CREATE TABLE ai_trading.labels (
    source text COLLATE "C" NOT NULL,
    doc_id text COLLATE "C" NOT NULL,
    event_time timestamptz NOT NULL,
    revision integer NOT NULL CHECK (revision >= 1),
    available_at timestamptz NOT NULL,
    text text NOT NULL,
    label double precision NOT NULL,
    raters double precision,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (source, doc_id, event_time, revision),
    CONSTRAINT labels_judged_after_writing CHECK (available_at > event_time),
    CONSTRAINT labels_scale CHECK (label BETWEEN -1 AND 1)
);
CREATE INDEX labels_available_at ON ai_trading.labels (available_at);
COMMENT ON TABLE ai_trading.labels IS 'What people think of a text, from -1 to 1; event_time is when it was written,
available_at when it was judged. Bitemporal.';
