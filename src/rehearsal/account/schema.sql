CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE authority (
    id TEXT PRIMARY KEY,
    certificate BLOB NOT NULL,
    status TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE certificate (
    id TEXT PRIMARY KEY,
    authority TEXT NOT NULL REFERENCES authority,
    der BLOB NOT NULL,
    name TEXT NOT NULL,
    status TEXT NOT NULL,
    -- Why it is still pending.
    reason TEXT,
    registered_at INTEGER NOT NULL
) STRICT;
CREATE INDEX certificate_by_status ON certificate (status);
CREATE TABLE thing (name TEXT PRIMARY KEY, document TEXT NOT NULL) STRICT;
CREATE TABLE policy (name TEXT PRIMARY KEY, document TEXT NOT NULL) STRICT;
CREATE TABLE thing_principal (
    certificate TEXT NOT NULL REFERENCES certificate,
    thing TEXT NOT NULL REFERENCES thing,
    PRIMARY KEY (certificate, thing)
) STRICT, WITHOUT ROWID;
CREATE INDEX principals_of_thing ON thing_principal (thing);
CREATE TABLE principal_policy (
    certificate TEXT NOT NULL REFERENCES certificate,
    policy TEXT NOT NULL REFERENCES policy,
    PRIMARY KEY (certificate, policy)
) STRICT, WITHOUT ROWID;
CREATE INDEX targets_of_policy ON principal_policy (policy);
CREATE TABLE event (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    peer TEXT NOT NULL,
    client_id TEXT,
    certificate TEXT,
    name TEXT,
    text TEXT NOT NULL
) STRICT;
CREATE INDEX refusals ON event (id) WHERE kind = 'refused';
