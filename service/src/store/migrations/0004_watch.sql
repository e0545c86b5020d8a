CREATE TABLE alert (
    id        TEXT   NOT NULL PRIMARY KEY,
    raised_us BIGINT NOT NULL,
    document  TEXT   NOT NULL
);

CREATE INDEX alert_raised ON alert (raised_us);

CREATE TABLE delivery (
    alert        TEXT   NOT NULL REFERENCES alert (id),
    sink         TEXT   NOT NULL,
    failed_count BIGINT NOT NULL,
    next_us      BIGINT,
    delivered_us BIGINT,
    PRIMARY KEY (alert, sink)
);

CREATE INDEX delivery_next ON delivery (sink, next_us);
