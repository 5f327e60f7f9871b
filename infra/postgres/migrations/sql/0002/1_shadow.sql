-- The gate's second stage, and the watch over a fresh champion.

CREATE TABLE ai_trading.shadow_looks (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    line text COLLATE "C" NOT NULL,
    purpose text NOT NULL CHECK (purpose IN ('shadow', 'rollback')),
    version integer NOT NULL,
    champion_version integer NOT NULL,
    number integer NOT NULL CHECK (number >= 1),
    looks integer NOT NULL CHECK (looks >= number),
    due timestamptz NOT NULL,
    as_of timestamptz NOT NULL,
    decision text NOT NULL CHECK (decision IN ('promote', 'reject', 'continue')),
    effect double precision,
    low double precision,
    high double precision,
    z double precision,
    boundary double precision NOT NULL,
    futility double precision,
    p_value double precision,
    rows integer NOT NULL,
    timestamps integer NOT NULL,
    blocks integer NOT NULL,
    reasons jsonb NOT NULL,
    recorded_at timestamptz NOT NULL,
    FOREIGN KEY (line, version) REFERENCES ai_trading.candidates,
    FOREIGN KEY (line, champion_version) REFERENCES ai_trading.candidates (line, version),
    CONSTRAINT shadow_looks_once UNIQUE (line, version, champion_version, number),
    CONSTRAINT shadow_looks_two CHECK (version <> champion_version),
    CONSTRAINT shadow_looks_no_future CHECK (due <= as_of)
);
COMMENT ON TABLE ai_trading.shadow_looks IS 'Looks at two versions on the same live bars: challenger against champion
(shadow), predecessor against a fresh champion (rollback). effect in nats of log loss saved per prediction by version,
with its repeated confidence interval. Append-only.';

CREATE TRIGGER shadow_looks_append_only BEFORE UPDATE OR DELETE ON ai_trading.shadow_looks
    FOR EACH ROW EXECUTE FUNCTION ai_trading.refuse_change();
CREATE TRIGGER shadow_looks_no_truncate BEFORE TRUNCATE ON ai_trading.shadow_looks
    FOR EACH STATEMENT EXECUTE FUNCTION ai_trading.refuse_change();

-- The predecessor of a fresh champion goes on scoring.
ALTER TABLE ai_trading.predictions DROP CONSTRAINT predictions_role_check;
ALTER TABLE ai_trading.predictions ADD CONSTRAINT predictions_role_check
    CHECK (role IN ('champion', 'challenger', 'predecessor'));
