CREATE TABLE meta (
    key   TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE credential (
    name       TEXT   NOT NULL PRIMARY KEY,
    purpose    TEXT   NOT NULL,
    created_us BIGINT NOT NULL
);

CREATE TABLE version (
    credential    TEXT   NOT NULL REFERENCES credential (name),
    number        BIGINT NOT NULL,
    state         TEXT   NOT NULL,
    key_id        BYTEA  NOT NULL UNIQUE,
    spki          BYTEA  NOT NULL,
    key_algorithm TEXT   NOT NULL,
    evidence      TEXT   NOT NULL,
    csr           BYTEA  NOT NULL,
    chain_pem     TEXT,
    environment   TEXT,
    created_us    BIGINT NOT NULL,
    PRIMARY KEY (credential, number)
);

CREATE TABLE bank (
    name     TEXT NOT NULL PRIMARY KEY,
    document TEXT NOT NULL
);

CREATE TABLE binding (
    bank       TEXT   NOT NULL REFERENCES bank (name),
    credential TEXT   NOT NULL,
    version    BIGINT NOT NULL,
    PRIMARY KEY (bank, credential),
    FOREIGN KEY (credential, version) REFERENCES version (credential, number)
);

CREATE TABLE caller (
    name   TEXT NOT NULL PRIMARY KEY,
    role   TEXT NOT NULL,
    grants TEXT NOT NULL
);

CREATE TABLE audit_record (
    seq  INTEGER NOT NULL PRIMARY KEY,
    line TEXT    NOT NULL
);
