-- What people are told, once each; through which channels; and how far each source has been read.

CREATE TABLE ai_trading.notices (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key text COLLATE "C" NOT NULL UNIQUE,
    kind text COLLATE "C" NOT NULL,
    line text COLLATE "C",
    severity text NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    title text NOT NULL,
    body jsonb NOT NULL,
    brief jsonb NOT NULL DEFAULT '[]',
    html text,
    link text,
    event_time timestamptz NOT NULL,
    found_at timestamptz NOT NULL
);
CREATE INDEX notices_found_at ON ai_trading.notices (found_at);
COMMENT ON TABLE ai_trading.notices IS 'What happened, as it is told to people. The key says what it is about: the same
is never told twice.';

CREATE TABLE ai_trading.deliveries (
    notice_id bigint NOT NULL REFERENCES ai_trading.notices,
    channel text COLLATE "C" NOT NULL,
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'given_up')),
    folded boolean NOT NULL DEFAULT false,
    attempts integer NOT NULL DEFAULT 0,
    next_at timestamptz NOT NULL,
    sent_at timestamptz,
    error text,
    PRIMARY KEY (notice_id, channel),
    CONSTRAINT deliveries_sent CHECK ((state = 'sent') = (sent_at IS NOT NULL))
);
CREATE INDEX deliveries_waiting ON ai_trading.deliveries (channel, next_at) WHERE state = 'waiting';
CREATE INDEX deliveries_sent_at ON ai_trading.deliveries (channel, sent_at);
COMMENT ON TABLE ai_trading.deliveries IS 'One row for each notice and channel that was configured when it was found;
folded: sent as a part of one message about several.';

CREATE TABLE ai_trading.notice_cursors (
    source text COLLATE "C" PRIMARY KEY,
    seen bigint NOT NULL,
    looked_at timestamptz NOT NULL
);
COMMENT ON TABLE ai_trading.notice_cursors IS 'How far each table of the warehouse has been read for notices.';
