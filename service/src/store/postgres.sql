-- Tells every replica of a change, with the commit of the change itself. The counter is for those who did not hear.
-- Replicas that start together take turns.
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
        EXECUTE format('CREATE OR REPLACE TRIGGER sealkeep_changed AFTER INSERT OR UPDATE OR DELETE ON %I
                        FOR EACH STATEMENT EXECUTE FUNCTION sealkeep_changed()', watched);
    END LOOP;
END
$$;
