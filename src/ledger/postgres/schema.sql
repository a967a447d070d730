-- The ledger in PostgreSQL: what was reserved, issued and stored. Public facts only, never key material.

CREATE TABLE meta (
    ledger_id TEXT NOT NULL,           -- 32 hex digits, drawn when the ledger was made
    version   BIGINT NOT NULL          -- of this schema
);

-- An issuer is a key: a CA certificate that is renewed for the same key is the same issuer.
CREATE TABLE issuer (
    issuer  BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    key_id  BYTEA NOT NULL UNIQUE,     -- SHA-256 of the public key
    subject TEXT NOT NULL
);

CREATE TABLE batch (
    batch           BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    name            TEXT NOT NULL UNIQUE,
    issuer          BIGINT NOT NULL REFERENCES issuer,
    certificate     BYTEA NOT NULL,      -- the issuer's, DER
    location        TEXT NOT NULL,
    manifest        TEXT NOT NULL,
    manifest_sha256 BYTEA NOT NULL,
    profile         TEXT NOT NULL,
    profile_sha256  BYTEA NOT NULL,
    layout          TEXT NOT NULL CHECK (layout IN ('objects', 'packs')),
    rows            BIGINT NOT NULL CHECK (rows > 0),
    chunk_rows      BIGINT NOT NULL CHECK (chunk_rows > 0),
    reissue         BOOLEAN NOT NULL,    -- made with --reissue, so ids may have been issued before
    created_at      TIMESTAMPTZ NOT NULL,
    next_chunk      BIGINT NOT NULL DEFAULT 0, -- the first chunk that no run has leased yet
    sealing         BIGINT,              -- the run that seals it
    sealing_until   TIMESTAMPTZ,
    sealed          BOOLEAN NOT NULL DEFAULT FALSE
);

-- A run of a batch on a host. Its hosts' clocks are not asked: these are the database's times.
CREATE TABLE run (
    run      BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    batch    BIGINT NOT NULL REFERENCES batch,
    host     TEXT NOT NULL,
    process  BIGINT NOT NULL,
    version  TEXT NOT NULL,              -- of certforge
    begun_at TIMESTAMPTZ NOT NULL,
    seen_at  TIMESTAMPTZ NOT NULL,
    ended_at TIMESTAMPTZ,
    made     BIGINT NOT NULL DEFAULT 0   -- devices it has committed
);
CREATE INDEX run_of_batch ON run (batch);

-- A chunk's certificates may exist from the moment that it is reserved. Each attempt at a chunk has
-- a serial prefix of its own: the first 8 octets of the serial of every certificate it may sign.
CREATE TABLE reservation (
    batch         BIGINT NOT NULL REFERENCES batch,
    chunk         BIGINT NOT NULL CHECK (chunk >= 0),
    attempt       BIGINT NOT NULL CHECK (attempt > 0),
    issuer        BIGINT NOT NULL REFERENCES issuer,
    serial_prefix BYTEA NOT NULL UNIQUE CHECK (octet_length(serial_prefix) = 8),
    reserved_at   TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (batch, chunk, attempt)
);

-- A chunk in the hands of a run, from its reservation to its release. When the time is over that it has by the
-- database's clock, another run may take it.
CREATE TABLE lease (
    batch   BIGINT NOT NULL REFERENCES batch,
    chunk   BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    run     BIGINT NOT NULL REFERENCES run,
    until   TIMESTAMPTZ NOT NULL,
    since   TIMESTAMPTZ NOT NULL,
    claimed BOOLEAN NOT NULL,            -- whether all its devices' ids are this chunk's
    PRIMARY KEY (batch, chunk)
);
CREATE INDEX lease_of_run ON lease (run);

-- A device id belongs to one chunk per issuer, from before its certificate is signed, unless somebody says --reissue.
CREATE TABLE identity (
    issuer     BIGINT NOT NULL,
    device_id  TEXT COLLATE "C" NOT NULL,
    generation INTEGER NOT NULL,         -- 0, and more for each reissue
    batch      BIGINT NOT NULL,
    chunk      BIGINT NOT NULL,
    PRIMARY KEY (issuer, device_id, generation)
);

-- A chunk is committed when the store holds its bundles durably, and released when its index is in place.
CREATE TABLE committed (
    batch    BIGINT NOT NULL REFERENCES batch,
    chunk    BIGINT NOT NULL,
    attempt  BIGINT NOT NULL,
    released BOOLEAN NOT NULL DEFAULT FALSE,
    devices  BIGINT NOT NULL,
    earliest BIGINT NOT NULL,            -- when the first of its certificates ends, in seconds since 1970
    latest   BIGINT NOT NULL,
    entries  BYTEA NOT NULL,             -- what its index says, row by row
    PRIMARY KEY (batch, chunk)
);
-- Digests do not shrink.
ALTER TABLE committed ALTER COLUMN entries SET STORAGE EXTERNAL;

-- A batch that must never come up, though its certificates were made.
CREATE TABLE withdrawal (
    batch        BIGINT PRIMARY KEY REFERENCES batch,
    withdrawn_at TIMESTAMPTZ NOT NULL,
    reason       TEXT NOT NULL
);

-- How many of its certificates, in manifest order from the first, are revoked at AWS: each account and Region
-- has certificates of its own.
CREATE TABLE revocation (
    batch   BIGINT NOT NULL REFERENCES batch,
    place   TEXT NOT NULL,
    revoked BIGINT NOT NULL,
    PRIMARY KEY (batch, place)
);

-- Certificates that are revoked one by one, whatever becomes of their batch.
CREATE TABLE revoked (
    batch      BIGINT NOT NULL REFERENCES batch,
    row        BIGINT NOT NULL,
    revoked_at TIMESTAMPTZ NOT NULL,
    reason     TEXT NOT NULL,
    code       BIGINT NOT NULL,          -- CRLReason, RFC 5280 5.3.1
    PRIMARY KEY (batch, row)
);

-- The number of an issuer's last certificate revocation list.
CREATE TABLE crl (
    issuer  BIGINT PRIMARY KEY REFERENCES issuer,
    number  BIGINT NOT NULL,
    made_at TIMESTAMPTZ NOT NULL
);

-- Who did what when. Each entry has the SHA-256 over the one before it and over its own words; nothing is changed or removed.
CREATE TABLE history (
    number  BIGINT PRIMARY KEY,
    at      TEXT NOT NULL,
    who     TEXT NOT NULL,
    version TEXT NOT NULL,               -- of certforge
    act     TEXT NOT NULL,
    subject TEXT NOT NULL,
    what    TEXT NOT NULL,
    hash    BYTEA NOT NULL
);

CREATE FUNCTION history_only_grows() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'the history only grows'; END $$;

CREATE TRIGGER history_only_grows BEFORE UPDATE OR DELETE ON history
    FOR EACH ROW EXECUTE FUNCTION history_only_grows();
