-- What every trial of a search predicted is kept, for the gate corrects for all that was tried.
ALTER TABLE ai_trading.snapshots DROP CONSTRAINT snapshots_kind_check;
ALTER TABLE ai_trading.snapshots ADD CONSTRAINT snapshots_kind_check
    CHECK (kind IN ('training', 'partition', 'evidence', 'search', 'trial'));
ALTER TABLE ai_trading.candidates ADD COLUMN search_digest text COLLATE "C";
ALTER TABLE ai_trading.candidates ADD COLUMN audited boolean NOT NULL DEFAULT false;
ALTER TABLE ai_trading.verdicts ADD COLUMN trials integer NOT NULL DEFAULT 0;
