CREATE TABLE rotation (
    credential TEXT   NOT NULL REFERENCES credential (name),
    number     BIGINT NOT NULL,
    to_version BIGINT,
    reason     TEXT   NOT NULL,
    started_us BIGINT NOT NULL,
    ending     TEXT,
    ended_us   BIGINT,
    PRIMARY KEY (credential, number),
    FOREIGN KEY (credential, to_version) REFERENCES version (credential, number)
);

CREATE UNIQUE INDEX rotation_open ON rotation (credential) WHERE ended_us IS NULL;

CREATE TABLE rotation_bank (
    credential   TEXT   NOT NULL,
    number       BIGINT NOT NULL,
    bank         TEXT   NOT NULL REFERENCES bank (name),
    from_version BIGINT NOT NULL,
    progress     TEXT   NOT NULL,
    told_us      BIGINT,
    answered_us  BIGINT,
    PRIMARY KEY (credential, number, bank),
    FOREIGN KEY (credential, number) REFERENCES rotation (credential, number),
    FOREIGN KEY (credential, from_version) REFERENCES version (credential, number)
);
