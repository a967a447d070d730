-- Who did what when. Each entry has the SHA-256 over the one before it and over its own words; nothing is changed or removed.
CREATE TABLE history (
    number  INTEGER PRIMARY KEY,
    at      TEXT NOT NULL,
    who     TEXT NOT NULL,
    version TEXT NOT NULL,             -- of certforge
    act     TEXT NOT NULL,
    subject TEXT NOT NULL,
    what    TEXT NOT NULL,
    hash    BLOB NOT NULL
) STRICT;

CREATE TRIGGER history_is_not_changed BEFORE UPDATE ON history
BEGIN SELECT raise(ABORT, 'the history only grows'); END;

CREATE TRIGGER history_is_not_removed BEFORE DELETE ON history
BEGIN SELECT raise(ABORT, 'the history only grows'); END;
