-- Spans that have not ended, of runs that take long: what a host that dies leaves behind.
CREATE TABLE open_spans (
    span_id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    span TEXT NOT NULL
);
CREATE INDEX open_spans_by_owner ON open_spans (owner);
