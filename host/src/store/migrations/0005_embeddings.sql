-- Which messages a vector store has the meaning of, and which are yet to be brought up to date
-- there: new ones, changed ones, those that are gone.
CREATE TABLE embeddings (
    message_id TEXT NOT NULL,
    vector_store TEXT NOT NULL,
    embedder TEXT NOT NULL,
    -- How many vectors the store has of it.
    pieces BIGINT NOT NULL,
    -- When it is to be brought up to date; null if it is.
    due BIGINT,
    -- Raised with each wish and each claim: whoever brings it up to date names what it has read.
    version BIGINT NOT NULL,
    PRIMARY KEY (message_id, vector_store, embedder)
);
CREATE INDEX embeddings_by_due ON embeddings (vector_store, embedder, due) WHERE due IS NOT NULL;
