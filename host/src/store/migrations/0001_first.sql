-- Read by SQLite and PostgreSQL alike: TEXT, BIGINT, no functions. Times are milliseconds
-- since 1970, JSON is TEXT.

-- What is counted in step with the rows, since counting rows takes time in their number.
CREATE TABLE counts (
    scope TEXT PRIMARY KEY,
    n BIGINT NOT NULL
);

CREATE TABLE threads (
    id TEXT PRIMARY KEY,
    resource_id TEXT NOT NULL,
    title TEXT NOT NULL,
    metadata TEXT,
    working_memory TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX threads_by_creation ON threads (created_at, id);
CREATE INDEX threads_by_update ON threads (updated_at, id);
CREATE INDEX threads_by_owner_and_creation ON threads (resource_id, created_at, id);
CREATE INDEX threads_by_owner_and_update ON threads (resource_id, updated_at, id);

-- One row an entry, and one a turn of an agent; content is kept as it was sent.
CREATE TABLE messages (
    id TEXT PRIMARY KEY,
    thread_id TEXT NOT NULL,
    resource_id TEXT,
    role TEXT NOT NULL,
    type TEXT NOT NULL,
    content TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX messages_by_thread ON messages (thread_id, created_at, id);
CREATE INDEX messages_by_owner ON messages (resource_id, created_at, id);

-- Whom threads belong to, as far as something is remembered beyond threads.
CREATE TABLE owners (
    id TEXT PRIMARY KEY,
    working_memory TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- Runs of agents that wait for somebody.
CREATE TABLE suspended_agent_runs (
    run_id TEXT PRIMARY KEY,
    agent_id TEXT NOT NULL,
    -- Made up anew each time the run is put aside or claimed: whoever claims it names what it
    -- has read, whoever has it names its claim.
    version TEXT NOT NULL,
    state TEXT NOT NULL,
    -- Who goes on with it, and until when nobody else may; 0 for nobody.
    claimed_by TEXT,
    claimed_until BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

-- One row a run; what its steps came to is in workflow_steps.
CREATE TABLE workflow_runs (
    run_id TEXT PRIMARY KEY,
    workflow_id TEXT NOT NULL,
    resource_id TEXT,
    status TEXT NOT NULL,
    -- Of the graph it began with; the graph itself is in workflow_graphs.
    graph_hash TEXT NOT NULL,
    -- Input, initial state, request context, trace: what it was started with.
    request TEXT NOT NULL,
    state TEXT,
    -- Result, error, what it waits for.
    outcome TEXT,
    -- Chunks its stream has had.
    chunks BIGINT NOT NULL,
    -- Who drives it, until when, and how often that changed: a write with an older fence is refused.
    owner TEXT,
    lease_until BIGINT NOT NULL,
    fence BIGINT NOT NULL,
    -- When it goes on by itself, if it waits for a time.
    wake_at BIGINT,
    cancel_requested BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX workflow_runs_by_workflow ON workflow_runs (workflow_id, created_at, run_id);
CREATE INDEX workflow_runs_by_owner ON workflow_runs (workflow_id, resource_id, created_at, run_id);
CREATE INDEX workflow_runs_by_status ON workflow_runs (status, workflow_id);
CREATE INDEX workflow_runs_by_lease ON workflow_runs (status, lease_until);
CREATE INDEX workflow_runs_by_wake ON workflow_runs (status, wake_at);

CREATE TABLE workflow_graphs (
    hash TEXT PRIMARY KEY,
    graph TEXT NOT NULL
);

-- What one execution of a node came to; the path names node, iteration and item.
CREATE TABLE workflow_steps (
    run_id TEXT NOT NULL,
    path TEXT NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (run_id, path)
);

-- The chunks of a run's stream, as many a row as one commit had.
CREATE TABLE workflow_chunks (
    run_id TEXT NOT NULL,
    first BIGINT NOT NULL,
    chunks TEXT NOT NULL,
    PRIMARY KEY (run_id, first)
);

-- What the host answered a step's requests, so that a repeated step gets the same answer.
CREATE TABLE workflow_memos (
    run_id TEXT NOT NULL,
    key TEXT NOT NULL,
    answer TEXT NOT NULL,
    PRIMARY KEY (run_id, key)
);

CREATE TABLE schedules (
    id TEXT PRIMARY KEY,
    workflow_id TEXT NOT NULL,
    definition TEXT NOT NULL,
    status TEXT NOT NULL,
    next_at BIGINT,
    last_at BIGINT,
    last_run_id TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX schedules_by_time ON schedules (status, next_at);
