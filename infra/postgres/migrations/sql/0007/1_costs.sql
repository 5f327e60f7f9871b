-- What each step of a training took, one row per process that did a part of it. A training is asked for by a policy with
-- a budget of CPU hours, so its cost belongs to the ledger; and what it was made by, so that a change can be seen.
CREATE TABLE ai_trading.training_steps (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    line text COLLATE "C" NOT NULL,
    request_id bigint REFERENCES ai_trading.retrain_requests,
    run_id text COLLATE "C",
    step text NOT NULL CHECK (step IN ('open', 'audit', 'trials', 'conclude')),
    worker integer NOT NULL DEFAULT 0,
    cpu_seconds double precision NOT NULL CHECK (cpu_seconds >= 0),
    wall_seconds double precision NOT NULL CHECK (wall_seconds >= 0),
    trials integer NOT NULL DEFAULT 0,
    recipe jsonb,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX training_steps_run ON ai_trading.training_steps (line, run_id);
CREATE INDEX training_steps_request ON ai_trading.training_steps (request_id);
COMMENT ON TABLE ai_trading.training_steps IS 'CPU and wall seconds of each step of each training, and the recipe
(configuration, feature list, feature code) it was opened with. Append-only.';
CREATE TRIGGER training_steps_append_only BEFORE UPDATE OR DELETE ON ai_trading.training_steps
    FOR EACH ROW EXECUTE FUNCTION ai_trading.refuse_change();
CREATE TRIGGER training_steps_no_truncate BEFORE TRUNCATE ON ai_trading.training_steps
    FOR EACH STATEMENT EXECUTE FUNCTION ai_trading.refuse_change();
