-- Tokens that callers show. What is kept of a token is its hash.
CREATE TABLE tokens (
    id TEXT NOT NULL PRIMARY KEY,
    -- What people call it; one token that is not revoked has a name.
    name TEXT NOT NULL,
    -- BLAKE3 of the token, lower-case hex.
    hash TEXT NOT NULL UNIQUE,
    -- viewer, operator or admin.
    role TEXT NOT NULL,
    -- The owner it is bound to.
    resource_id TEXT,
    -- Milliseconds since 1970.
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT,
    revoked_by TEXT,
    last_used_at BIGINT
);
CREATE UNIQUE INDEX tokens_by_name ON tokens (name) WHERE revoked_at IS NULL;
