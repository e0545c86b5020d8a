ALTER TABLE version ADD COLUMN frozen_from TEXT;

CREATE TABLE approval (
    id         TEXT   NOT NULL PRIMARY KEY,
    verb       TEXT   NOT NULL,
    credential TEXT   NOT NULL,
    version    BIGINT NOT NULL,
    author     TEXT   NOT NULL,
    reason     TEXT   NOT NULL,
    created_us BIGINT NOT NULL,
    expires_us BIGINT NOT NULL,
    standing   TEXT   NOT NULL,
    decided_by TEXT,
    due_us     BIGINT,
    outcome    TEXT   NOT NULL,
    FOREIGN KEY (credential, version) REFERENCES version (credential, number)
);

CREATE INDEX approval_standing ON approval (standing);
