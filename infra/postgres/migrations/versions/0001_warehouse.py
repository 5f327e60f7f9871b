"""The warehouse: bitemporal facts, what is derived from them, the ledger, and the log of the system.

Revision: 0001, the first

Times are timestamptz (UTC). Keys collate "C", so that sorting is by bytes on every server. NaN is never stored in a
fact: it is NULL.
"""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# A month of a table is made beside it and attached: ATTACH lets readers and writers of other months go on, while
# CREATE ... PARTITION OF would stop them all. The lock makes two first writers of a month take turns.
FUNCTIONS = """
CREATE FUNCTION ai_trading.ensure_months(parent text, months date[]) RETURNS integer
LANGUAGE plpgsql SET search_path = ai_trading, pg_temp SET client_min_messages = warning AS $$
DECLARE
    month date;
    child text;
    made integer := 0;
BEGIN
    FOREACH month IN ARRAY months LOOP
        month := date_trunc('month', month)::date;
        child := format('%s_%s', parent, to_char(month, 'YYYY_MM'));
        CONTINUE WHEN to_regclass(format('ai_trading.%I', child)) IS NOT NULL;
        PERFORM pg_advisory_xact_lock(hashtextextended('tidemark:months:' || parent, 0));
        -- Not to_regclass: its cache does not see what was committed while we waited.
        PERFORM FROM pg_class WHERE relname = child AND relnamespace = 'ai_trading'::regnamespace;
        CONTINUE WHEN FOUND;
        EXECUTE format('CREATE TABLE ai_trading.%I (LIKE ai_trading.%I INCLUDING ALL)', child, parent);
        EXECUTE format('ALTER TABLE ai_trading.%I ATTACH PARTITION ai_trading.%I FOR VALUES FROM (%L) TO (%L)',
                       parent, child, month::timestamp AT TIME ZONE 'UTC',
                       (month + interval '1 month') AT TIME ZONE 'UTC');
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;
COMMENT ON FUNCTION ai_trading.ensure_months IS 'Creates the monthly partitions that are missing; returns how many.';

CREATE FUNCTION ai_trading.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on ai_trading.% refused: this table is append-only; write a new row that supersedes the old one',
        TG_OP, TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END $$;
COMMENT ON FUNCTION ai_trading.refuse_change IS 'Keeps the ledger append-only.';
"""

FACTS = """
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
"""

DERIVED = """
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
"""

LEDGER = """
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
"""

SERVING = """
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
"""

SYSTEM = """
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
"""


def upgrade() -> None:
    for script in (FUNCTIONS, FACTS, DERIVED, LEDGER, SERVING, SYSTEM):
        # exec_driver_sql: the scripts hold colons and percent signs of their own.
        op.get_bind().exec_driver_sql(script.replace("%", "%%"))


def downgrade() -> None:
    raise NotImplementedError("the first migration has nothing before it; drop the schema ai_trading by hand")
