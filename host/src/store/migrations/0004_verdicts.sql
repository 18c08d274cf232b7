-- What was said of traces: by scorers, and by people.
CREATE TABLE verdicts (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    -- The scorer, or what sort of feedback it is.
    about TEXT NOT NULL,
    trace_id TEXT,
    span_id TEXT,
    organization_id TEXT,
    resource_id TEXT,
    at BIGINT NOT NULL,
    -- Sorts by when it came in.
    arrival TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (kind, id)
);
CREATE INDEX verdicts_by_time ON verdicts (kind, at, id);
CREATE INDEX verdicts_by_subject ON verdicts (kind, about, at, id);
CREATE INDEX verdicts_by_trace ON verdicts (kind, trace_id, at, id);
CREATE INDEX verdicts_by_arrival ON verdicts (kind, arrival, id);
