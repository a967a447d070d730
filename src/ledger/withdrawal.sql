-- A batch that must never come up, though its certificates were made.
CREATE TABLE withdrawal (
    batch        INTEGER PRIMARY KEY REFERENCES batch,
    withdrawn_at TEXT NOT NULL,
    reason       TEXT NOT NULL,
    revoked      INTEGER NOT NULL      -- so many of its certificates, in manifest order, are revoked at AWS
) STRICT;
