-- What is asked for: a certificate, or a revocation with its reason.
ALTER TABLE enrolment ADD COLUMN wish TEXT NOT NULL DEFAULT 'certificate';
