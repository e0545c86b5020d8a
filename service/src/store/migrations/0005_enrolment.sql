CREATE TABLE enrolment (
    credential TEXT   NOT NULL,
    version    BIGINT NOT NULL,
    enroller   TEXT   NOT NULL,
    author     TEXT   NOT NULL,
    standing   TEXT   NOT NULL,
    ticket     TEXT,
    attempts   BIGINT NOT NULL,
    next_us    BIGINT NOT NULL,
    detail     TEXT   NOT NULL,
    created_us BIGINT NOT NULL,
    PRIMARY KEY (credential, version),
    FOREIGN KEY (credential, version) REFERENCES version (credential, number)
);
