-- What is missing is written down, and never filled by invention.

CREATE TABLE ai_trading.gaps (
    kind text COLLATE "C" NOT NULL,
    series text COLLATE "C" NOT NULL,
    start timestamptz NOT NULL,
    "end" timestamptz NOT NULL,
    missing integer NOT NULL,
    open_ended boolean NOT NULL,
    found_at timestamptz NOT NULL,
    closed_at timestamptz,
    PRIMARY KEY (kind, series, start),
    CONSTRAINT gaps_stretch CHECK (start < "end"),
    CONSTRAINT gaps_missing CHECK (missing >= 1)
);
CREATE INDEX gaps_open ON ai_trading.gaps (kind, series) WHERE closed_at IS NULL;
COMMENT ON TABLE ai_trading.gaps IS 'Facts that should be there and are not: [start, end) of event_time on the grid of a
series. open_ended: nothing came after it yet. closed_at: when the missing ones had come, or the stretch was recut.';
