CREATE TABLE events (
    run_id TEXT NOT NULL,
    seq BIGINT NOT NULL CHECK (seq > 0),
    bytes BYTEA NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (run_id, seq)
);

-- The last event of each stream: the fence for writers, and the proof that no tail was cut off.
CREATE TABLE heads (
    run_id TEXT COLLATE "C" PRIMARY KEY,
    seq BIGINT NOT NULL,
    digest TEXT NOT NULL,
    first_at_ms BIGINT NOT NULL,
    last_at_ms BIGINT NOT NULL
);

-- `sha256` and `size_bytes` are of the raw content, `bytes` is its zstd frame: PostgreSQL shall not compress it again.
CREATE TABLE blobs (
    sha256 TEXT PRIMARY KEY,
    size_bytes BIGINT NOT NULL,
    bytes BYTEA NOT NULL,
    put_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
ALTER TABLE blobs ALTER COLUMN bytes SET STORAGE EXTERNAL;
