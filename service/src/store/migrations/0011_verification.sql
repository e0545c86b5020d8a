CREATE TABLE rotation_verification (
    id           TEXT   PRIMARY KEY,
    credential   TEXT   NOT NULL,
    number       BIGINT NOT NULL,
    bank         TEXT   NOT NULL REFERENCES bank (name),
    version      BIGINT NOT NULL,
    caller       TEXT   NOT NULL,
    expires_us   BIGINT NOT NULL,
    concluded_us BIGINT,
    reason       TEXT,
    seen         TEXT,
    FOREIGN KEY (credential, number) REFERENCES rotation (credential, number),
    FOREIGN KEY (credential, version) REFERENCES version (credential, number)
);

CREATE UNIQUE INDEX rotation_verification_open ON rotation_verification (credential, number, bank)
    WHERE concluded_us IS NULL;
CREATE INDEX rotation_verification_of ON rotation_verification (credential, number, bank, concluded_us);
