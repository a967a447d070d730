-- The ledger: what was reserved, issued and stored. Public facts only, never key material.

CREATE TABLE meta (
    ledger_id TEXT NOT NULL            -- 32 hex digits, drawn when the ledger was made
) STRICT;

-- An issuer is a key: a CA certificate that is renewed for the same key is the same issuer.
CREATE TABLE issuer (
    issuer  INTEGER PRIMARY KEY,
    key_id  BLOB NOT NULL UNIQUE,      -- SHA-256 of the public key
    subject TEXT NOT NULL
) STRICT;

CREATE TABLE batch (
    batch           INTEGER PRIMARY KEY,
    name            TEXT NOT NULL UNIQUE,
    issuer          INTEGER NOT NULL REFERENCES issuer,
    certificate     BLOB NOT NULL,       -- the issuer's, DER
    location        TEXT NOT NULL,
    manifest        TEXT NOT NULL,
    manifest_sha256 BLOB NOT NULL,
    profile         TEXT NOT NULL,
    profile_sha256  BLOB NOT NULL,
    layout          TEXT NOT NULL CHECK (layout IN ('objects', 'packs')),
    rows            INTEGER NOT NULL CHECK (rows > 0),
    chunk_rows      INTEGER NOT NULL CHECK (chunk_rows > 0),
    reissue         INTEGER NOT NULL CHECK (reissue IN (0, 1)), -- 1: made with --reissue, so ids may have been issued before
    created_at      TEXT NOT NULL
) STRICT;

-- A chunk's certificates may exist from the moment that it is reserved. Each attempt at a chunk has
-- a serial prefix of its own: the first 8 octets of the serial of every certificate it may sign.
CREATE TABLE reservation (
    batch         INTEGER NOT NULL REFERENCES batch,
    chunk         INTEGER NOT NULL CHECK (chunk >= 0),
    attempt       INTEGER NOT NULL CHECK (attempt > 0),
    issuer        INTEGER NOT NULL REFERENCES issuer,
    serial_prefix BLOB NOT NULL UNIQUE CHECK (length(serial_prefix) = 8),
    reserved_at   TEXT NOT NULL,
    PRIMARY KEY (batch, chunk, attempt)
) STRICT, WITHOUT ROWID;

-- A chunk is committed when the store holds its bundles durably, and released when its index is in place.
CREATE TABLE committed (
    batch    INTEGER NOT NULL REFERENCES batch,
    chunk    INTEGER NOT NULL,
    attempt  INTEGER NOT NULL,
    released INTEGER NOT NULL DEFAULT 0 CHECK (released IN (0, 1)),
    PRIMARY KEY (batch, chunk)
) STRICT, WITHOUT ROWID;

-- No checks here: they would be paid for with every device, and who reads a row judges it anyway.
CREATE TABLE device (
    batch              INTEGER NOT NULL REFERENCES batch,
    row                INTEGER NOT NULL, -- position in the manifest, from 0
    issuer             INTEGER NOT NULL,
    device_id          TEXT NOT NULL,
    generation         INTEGER NOT NULL, -- 0, and one more for each reissue
    certificate_id     BLOB NOT NULL,
    certificate_serial BLOB NOT NULL,
    not_after          INTEGER NOT NULL, -- seconds since 1970
    offset             INTEGER NOT NULL, -- where the bundle begins in its object
    length             INTEGER NOT NULL,
    sha256             BLOB NOT NULL,    -- of the bundle
    PRIMARY KEY (batch, row)
) STRICT, WITHOUT ROWID;

-- A device id is issued once per issuer, unless somebody says --reissue.
CREATE UNIQUE INDEX device_identity ON device (issuer, device_id, generation);
