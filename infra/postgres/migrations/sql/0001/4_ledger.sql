-- The ledger: requests, candidates, verdicts, approvals, promotions, configurations.

CREATE TABLE ai_trading.retrain_requests (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    line text COLLATE "C" NOT NULL,
    reason text NOT NULL,
    as_of timestamptz NOT NULL,
    requested_by text NOT NULL,
    evidence jsonb NOT NULL DEFAULT '{}',
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'claimed', 'served', 'failed')),
    requested_at timestamptz NOT NULL,
    claimed_by text,
    claimed_at timestamptz,
    expires_at timestamptz,
    finished_at timestamptz,
    detail text,
    CONSTRAINT retrain_requests_claim CHECK (
        state <> 'claimed' OR (claimed_by IS NOT NULL AND claimed_at IS NOT NULL AND expires_at IS NOT NULL))
);
CREATE UNIQUE INDEX retrain_requests_one_open ON ai_trading.retrain_requests (line)
    WHERE state IN ('pending', 'claimed');
CREATE INDEX retrain_requests_line ON ai_trading.retrain_requests (line, id);
COMMENT ON TABLE ai_trading.retrain_requests IS 'Who asked for a training, and what became of it. At most one open
request per line: others coalesce into it.';

CREATE TABLE ai_trading.candidates (
    line text COLLATE "C" NOT NULL,
    version integer NOT NULL CHECK (version >= 1),
    run_id text NOT NULL,
    family text NOT NULL,
    as_of timestamptz NOT NULL,
    trained_through timestamptz NOT NULL,
    snapshot_digest text NOT NULL,
    evidence_digest text NOT NULL,
    trials integer NOT NULL,
    request_id bigint REFERENCES ai_trading.retrain_requests,
    registered_at timestamptz NOT NULL,
    PRIMARY KEY (line, version),
    CONSTRAINT candidates_no_future CHECK (trained_through <= as_of)
);
CREATE INDEX candidates_request ON ai_trading.candidates (request_id);
COMMENT ON TABLE ai_trading.candidates IS 'Registered model versions with what is needed to judge and rebuild them.';

CREATE TABLE ai_trading.verdicts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    line text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    as_of timestamptz NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('promote', 'inconclusive', 'reject')),
    opponent text NOT NULL,
    champion_version integer,
    effect double precision,
    effect_low double precision,
    effect_high double precision,
    p_value double precision,
    minimum_detectable double precision,
    periods integer NOT NULL,
    rows integer NOT NULL,
    reasons jsonb NOT NULL,
    metrics jsonb NOT NULL,
    recorded_at timestamptz NOT NULL,
    FOREIGN KEY (line, version) REFERENCES ai_trading.candidates
);
CREATE INDEX verdicts_version ON ai_trading.verdicts (line, version, id);
COMMENT ON TABLE ai_trading.verdicts IS 'What the gate said about a version, with effect (nats of log loss saved per
prediction) and reasons. Append-only.';

CREATE TABLE ai_trading.approvals (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    line text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    approved boolean NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL,
    decided_at timestamptz NOT NULL,
    FOREIGN KEY (line, version) REFERENCES ai_trading.candidates
);
CREATE INDEX approvals_version ON ai_trading.approvals (line, version, id);
COMMENT ON TABLE ai_trading.approvals IS 'What people decided about a version; the last row counts. Append-only.';

CREATE TABLE ai_trading.promotions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    line text COLLATE "C" NOT NULL,
    number integer NOT NULL CHECK (number >= 1),
    version integer NOT NULL,
    previous integer,
    action text NOT NULL CHECK (action IN ('promote', 'rollback')),
    actor text NOT NULL,
    reason text NOT NULL,
    effective_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    FOREIGN KEY (line, version) REFERENCES ai_trading.candidates,
    FOREIGN KEY (line, previous) REFERENCES ai_trading.candidates,
    CONSTRAINT promotions_linear UNIQUE (line, number),
    CONSTRAINT promotions_change CHECK (version IS DISTINCT FROM previous),
    CONSTRAINT promotions_first CHECK ((number = 1) = (previous IS NULL))
);
CREATE INDEX promotions_effective ON ai_trading.promotions (line, effective_at);
COMMENT ON TABLE ai_trading.promotions IS 'The champions of each line in order; the last row names the present one,
effective_at from when on (data time) it scores. Append-only.';

CREATE TABLE ai_trading.line_configs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    line text COLLATE "C" NOT NULL,
    version integer NOT NULL CHECK (version >= 1),
    digest text COLLATE "C" NOT NULL,
    toml text NOT NULL,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT line_configs_version UNIQUE (line, version),
    CONSTRAINT line_configs_content UNIQUE (line, digest)
);
COMMENT ON TABLE ai_trading.line_configs IS 'Every configuration a line ever had, by content. Append-only.';

CREATE TRIGGER verdicts_append_only BEFORE UPDATE OR DELETE ON ai_trading.verdicts
    FOR EACH ROW EXECUTE FUNCTION ai_trading.refuse_change();
CREATE TRIGGER approvals_append_only BEFORE UPDATE OR DELETE ON ai_trading.approvals
    FOR EACH ROW EXECUTE FUNCTION ai_trading.refuse_change();
CREATE TRIGGER promotions_append_only BEFORE UPDATE OR DELETE ON ai_trading.promotions
    FOR EACH ROW EXECUTE FUNCTION ai_trading.refuse_change();
CREATE TRIGGER line_configs_append_only BEFORE UPDATE OR DELETE ON ai_trading.line_configs
    FOR EACH ROW EXECUTE FUNCTION ai_trading.refuse_change();
CREATE TRIGGER verdicts_no_truncate BEFORE TRUNCATE ON ai_trading.verdicts
    FOR EACH STATEMENT EXECUTE FUNCTION ai_trading.refuse_change();
CREATE TRIGGER approvals_no_truncate BEFORE TRUNCATE ON ai_trading.approvals
    FOR EACH STATEMENT EXECUTE FUNCTION ai_trading.refuse_change();
CREATE TRIGGER promotions_no_truncate BEFORE TRUNCATE ON ai_trading.promotions
    FOR EACH STATEMENT EXECUTE FUNCTION ai_trading.refuse_change();
CREATE TRIGGER line_configs_no_truncate BEFORE TRUNCATE ON ai_trading.line_configs
    FOR EACH STATEMENT EXECUTE FUNCTION ai_trading.refuse_change();
