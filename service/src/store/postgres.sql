-- Tells every replica of a change, with the commit of the change itself. The counter is for those who did not hear; it
-- is counted last in a transaction, so that none waits for it with something that another wants. Replicas that start
-- together take turns.
SELECT pg_advisory_xact_lock(7236833);

INSERT INTO meta (key, value) VALUES ('changes', '0') ON CONFLICT (key) DO NOTHING;

CREATE OR REPLACE FUNCTION sealkeep_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE meta SET value = (value::bigint + 1)::text WHERE key = 'changes';
    PERFORM pg_notify('sealkeep_changed', '');
    RETURN NULL;
END
$$;

DO $$
DECLARE
    watched text;
BEGIN
    FOREACH watched IN ARRAY ARRAY['credential', 'version', 'bank', 'binding', 'caller', 'rotation', 'rotation_bank',
                                 'approval', 'enrolment', 'revocation', 'rotation_verification', 'suspicion',
                                 'trusted_list'] LOOP
        IF NOT EXISTS (SELECT 1 FROM pg_trigger WHERE tgrelid = watched::regclass AND tgname = 'sealkeep_changed') THEN
            EXECUTE format('CREATE CONSTRAINT TRIGGER sealkeep_changed AFTER INSERT OR UPDATE OR DELETE ON %I
                            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION sealkeep_changed()', watched);
        END IF;
    END LOOP;
END
$$;
