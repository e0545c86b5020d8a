CREATE TABLE revocation (
    certificate  BYTEA  NOT NULL PRIMARY KEY,
    statement    TEXT,
    fetched_us   BIGINT,
    asked_us     BIGINT NOT NULL,
    attempted_us BIGINT NOT NULL,
    failure      TEXT
);
