CREATE TABLE trusted_list (
    environment TEXT   NOT NULL,
    territory   TEXT   NOT NULL,
    file_sha256 TEXT   NOT NULL,
    imported_us BIGINT NOT NULL,
    document    TEXT   NOT NULL,
    PRIMARY KEY (environment, territory)
);
