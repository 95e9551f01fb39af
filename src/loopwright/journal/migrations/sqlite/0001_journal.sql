-- One B-tree for the events, in the order in which they are written and read.
CREATE TABLE events (
    run_id TEXT NOT NULL,
    seq INTEGER NOT NULL CHECK (seq > 0),
    bytes BLOB NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (run_id, seq)
) WITHOUT ROWID;

-- The last event of each stream: the fence for writers, and the proof that no tail was cut off.
CREATE TABLE heads (
    run_id TEXT PRIMARY KEY,
    seq INTEGER NOT NULL,
    digest TEXT NOT NULL,
    first_at_ms INTEGER NOT NULL,
    last_at_ms INTEGER NOT NULL
) WITHOUT ROWID;
