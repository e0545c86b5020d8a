-- When the certificate should be there. Enrolments from before have waited long enough after a day.
ALTER TABLE enrolment ADD COLUMN due_us BIGINT NOT NULL DEFAULT 0;
UPDATE enrolment SET due_us = created_us + 86400000000;
