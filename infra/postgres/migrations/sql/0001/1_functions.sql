-- A month of a table is made beside it and attached: ATTACH lets readers and writers of other months go on, while
-- CREATE ... PARTITION OF would stop them all. The lock makes two first writers of a month take turns.

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
