-- Each replica has a log of its own.
CREATE TABLE audit_line (
    log  TEXT   NOT NULL,
    seq  BIGINT NOT NULL,
    line TEXT   NOT NULL,
    PRIMARY KEY (log, seq)
);

INSERT INTO audit_line (log, seq, line)
SELECT m.value, r.seq, r.line FROM audit_record r JOIN meta m ON m.key = 'audit_log';

DROP TABLE audit_record;
