-- The set of tokens that holds the key; empty until the service has named the one token there was before.
ALTER TABLE version ADD COLUMN token_set TEXT NOT NULL DEFAULT '';

CREATE TABLE suspicion (
    token    TEXT   NOT NULL,
    key_id   BYTEA  NOT NULL,
    since_us BIGINT NOT NULL,
    PRIMARY KEY (token, key_id)
);
