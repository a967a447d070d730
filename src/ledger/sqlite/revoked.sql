-- Certificates that are revoked one by one, whatever becomes of their batch.
CREATE TABLE revoked (
    batch      INTEGER NOT NULL REFERENCES batch,
    row        INTEGER NOT NULL,
    revoked_at TEXT NOT NULL,
    reason     TEXT NOT NULL,
    code       INTEGER NOT NULL,        -- CRLReason, RFC 5280 5.3.1
    PRIMARY KEY (batch, row)
) STRICT, WITHOUT ROWID;

-- The number of an issuer's last certificate revocation list.
CREATE TABLE crl (
    issuer  INTEGER PRIMARY KEY REFERENCES issuer,
    number  INTEGER NOT NULL,
    made_at TEXT NOT NULL
) STRICT;
