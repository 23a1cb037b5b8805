-- What openclaw-tenancy keeps. Times are milliseconds since 1970, ids are UUIDs as text, amounts are bytes and milli-CPUs.
--
-- A migration only adds. What it makes superfluous is removed by a later release, so that the release
-- before can run beside this one.

CREATE TABLE tenants (
    id               TEXT    PRIMARY KEY,
    slug             TEXT    NOT NULL UNIQUE,
    owner            TEXT    NOT NULL UNIQUE,
    settings         TEXT    NOT NULL,
    desired          TEXT    NOT NULL,
    revision         INTEGER NOT NULL,
    observed         TEXT    NOT NULL,
    created_at       INTEGER NOT NULL,
    -- Waits for a host: what the queue counts.
    waiting          INTEGER NOT NULL,
    due_at           INTEGER NOT NULL,
    fence            INTEGER NOT NULL DEFAULT 0,
    -- A claim that was not settled; while there is one, nobody knows what is at the tenant's places.
    worker           TEXT,
    lease_until      INTEGER,
    claimed_revision INTEGER,
    -- Something happened since the claim: due at once after the settle.
    again            INTEGER NOT NULL DEFAULT 0,
    -- The hold that an operator ended since the claim.
    released         TEXT,
    CHECK ((worker IS NULL) = (lease_until IS NULL)),
    CHECK ((worker IS NULL) = (claimed_revision IS NULL))
) STRICT;
CREATE INDEX tenants_due ON tenants (due_at, id);
CREATE INDEX tenants_waiting ON tenants (created_at, id) WHERE waiting;

CREATE TABLE hosts (
    id                 TEXT    PRIMARY KEY,
    labels             TEXT    NOT NULL,
    cordoned           INTEGER NOT NULL DEFAULT 0,
    state              TEXT    NOT NULL,
    facts              TEXT,
    marker             TEXT,
    -- The sum over the places on it, written with them, so that quota is one row's check.
    reserved_cpu       INTEGER NOT NULL DEFAULT 0 CHECK (reserved_cpu >= 0),
    reserved_memory    INTEGER NOT NULL DEFAULT 0 CHECK (reserved_memory >= 0),
    reserved_swap      INTEGER NOT NULL DEFAULT 0 CHECK (reserved_swap >= 0),
    reserved_instances INTEGER NOT NULL DEFAULT 0 CHECK (reserved_instances >= 0),
    due_at             INTEGER NOT NULL,
    fence              INTEGER NOT NULL DEFAULT 0,
    worker             TEXT,
    lease_until        INTEGER,
    CHECK ((worker IS NULL) = (lease_until IS NULL))
) STRICT;
CREATE INDEX hosts_due ON hosts (due_at, id);

CREATE TABLE places (
    tenant TEXT    NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    host   TEXT    NOT NULL REFERENCES hosts (id),
    subnet TEXT    NOT NULL,
    PRIMARY KEY (tenant, host),
    UNIQUE (host, subnet)
) STRICT;

CREATE TABLE plan_seats (
    plan  TEXT    PRIMARY KEY,
    taken INTEGER NOT NULL CHECK (taken >= 0)
) STRICT;

CREATE TABLE idempotency_keys (
    owner   TEXT    NOT NULL,
    key     TEXT    NOT NULL,
    request TEXT    NOT NULL,
    tenant  TEXT    NOT NULL,
    until   INTEGER NOT NULL,
    PRIMARY KEY (owner, key)
) STRICT;
CREATE INDEX idempotency_keys_until ON idempotency_keys (until);

-- Tenants that are gone, while their slug is kept back.
CREATE TABLE gone_tenants (
    id         TEXT    PRIMARY KEY,
    slug       TEXT    NOT NULL,
    owner      TEXT    NOT NULL,
    desired    TEXT    NOT NULL,
    revision   INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    until      INTEGER NOT NULL
) STRICT;
CREATE INDEX gone_tenants_slug ON gone_tenants (slug);
CREATE INDEX gone_tenants_until ON gone_tenants (until);

-- The last numbers given out. There is one writer at a time, so they become visible in their order.
CREATE TABLE numbers (
    only_row INTEGER PRIMARY KEY DEFAULT 1 CHECK (only_row = 1),
    change   INTEGER NOT NULL,
    event    INTEGER NOT NULL
) STRICT;
INSERT INTO numbers (change, event) VALUES (0, 0);

-- Each tenant once, under the number of its last change.
CREATE TABLE changes (
    tenant TEXT    PRIMARY KEY,
    number INTEGER NOT NULL UNIQUE
) STRICT;

CREATE TABLE events (
    number INTEGER PRIMARY KEY,
    tenant TEXT    NOT NULL,
    at     INTEGER NOT NULL,
    event  TEXT    NOT NULL
) STRICT;
CREATE INDEX events_tenant ON events (tenant, number);

CREATE TABLE accounts (
    id         TEXT    PRIMARY KEY,
    issuer     TEXT    NOT NULL,
    subject    TEXT    NOT NULL,
    email      TEXT,
    name       TEXT,
    admin      INTEGER NOT NULL DEFAULT 0,
    plan       TEXT,
    created_at INTEGER NOT NULL,
    UNIQUE (issuer, subject)
) STRICT;
CREATE INDEX accounts_admin ON accounts (id) WHERE admin;

-- `secret` is a SHA-256: the secrets themselves never come here.
CREATE TABLE grants (
    kind       TEXT    NOT NULL,
    secret     BLOB    NOT NULL,
    account    TEXT,
    data       TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (kind, secret)
) STRICT;
CREATE INDEX grants_account ON grants (account, kind);
CREATE INDEX grants_expires ON grants (expires_at);

CREATE TABLE passwords (
    username TEXT    PRIMARY KEY,
    phc      TEXT    NOT NULL
) STRICT;

CREATE TABLE server_values (
    name  TEXT    PRIMARY KEY,
    value TEXT    NOT NULL
) STRICT;
