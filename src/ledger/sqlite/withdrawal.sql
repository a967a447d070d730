-- A batch that must never come up, though its certificates were made.
CREATE TABLE withdrawal (
    batch        INTEGER PRIMARY KEY REFERENCES batch,
    withdrawn_at TEXT NOT NULL,
    reason       TEXT NOT NULL
) STRICT;

-- How many of its certificates, in manifest order from the first, are revoked at AWS: each account and Region
-- has certificates of its own.
CREATE TABLE revocation (
    batch   INTEGER NOT NULL REFERENCES batch,
    place   TEXT NOT NULL,              -- account and Region
    revoked INTEGER NOT NULL,
    PRIMARY KEY (batch, place)
) STRICT, WITHOUT ROWID;
