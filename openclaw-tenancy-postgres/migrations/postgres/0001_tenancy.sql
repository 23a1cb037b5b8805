-- What openclaw-tenancy keeps. Times are milliseconds since 1970, ids are UUIDs, amounts are bytes and milli-CPUs.
-- JSON columns are `json`, not `jsonb`: text from an engine may hold U+0000, which `jsonb` refuses.
--
-- A migration only adds. What it makes superfluous is removed by a later release, so that the release
-- before can run beside this one.

-- The clock of every lease: one clock for all replicas. STABLE, so that an index can be searched by it.
CREATE FUNCTION tenancy_now() RETURNS BIGINT
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT (extract(epoch FROM statement_timestamp()) * 1000)::bigint $$;

CREATE TABLE tenants (
    id               UUID    PRIMARY KEY,
    slug             TEXT    NOT NULL UNIQUE,
    owner            UUID    NOT NULL UNIQUE,
    settings         JSON    NOT NULL,
    desired          JSON    NOT NULL,
    revision         BIGINT  NOT NULL,
    observed         JSON    NOT NULL,
    created_at       BIGINT  NOT NULL,
    -- Waits for a host: what the queue counts.
    waiting          BOOLEAN NOT NULL,
    due_at           BIGINT  NOT NULL,
    fence            BIGINT  NOT NULL DEFAULT 0,
    -- A claim that was not settled; while there is one, nobody knows what is at the tenant's places.
    worker           TEXT,
    lease_until      BIGINT,
    claimed_revision BIGINT,
    -- Something happened since the claim: due at once after the settle.
    again            BOOLEAN NOT NULL DEFAULT FALSE,
    -- The hold that an operator ended since the claim.
    released         JSON,
    CHECK ((worker IS NULL) = (lease_until IS NULL)),
    CHECK ((worker IS NULL) = (claimed_revision IS NULL))
);
CREATE INDEX tenants_due ON tenants (due_at, id);
CREATE INDEX tenants_waiting ON tenants (created_at, id) WHERE waiting;

CREATE TABLE hosts (
    id                 TEXT    COLLATE "C" PRIMARY KEY,
    labels             JSON    NOT NULL,
    cordoned           BOOLEAN NOT NULL DEFAULT FALSE,
    state              JSON    NOT NULL,
    facts              JSON,
    marker             TEXT,
    -- The sum over the places on it, written with them, so that quota is one row's check.
    reserved_cpu       BIGINT  NOT NULL DEFAULT 0 CHECK (reserved_cpu >= 0),
    reserved_memory    BIGINT  NOT NULL DEFAULT 0 CHECK (reserved_memory >= 0),
    reserved_swap      BIGINT  NOT NULL DEFAULT 0 CHECK (reserved_swap >= 0),
    reserved_instances BIGINT  NOT NULL DEFAULT 0 CHECK (reserved_instances >= 0),
    due_at             BIGINT  NOT NULL,
    fence              BIGINT  NOT NULL DEFAULT 0,
    worker             TEXT,
    lease_until        BIGINT,
    CHECK ((worker IS NULL) = (lease_until IS NULL))
);
CREATE INDEX hosts_due ON hosts (due_at, id);

CREATE TABLE places (
    tenant UUID NOT NULL REFERENCES tenants ON DELETE CASCADE,
    host   TEXT COLLATE "C" NOT NULL REFERENCES hosts,
    subnet TEXT NOT NULL,
    PRIMARY KEY (tenant, host),
    UNIQUE (host, subnet)
);

CREATE TABLE plan_seats (
    plan  TEXT   PRIMARY KEY,
    taken BIGINT NOT NULL CHECK (taken >= 0)
);

CREATE TABLE idempotency_keys (
    owner   UUID   NOT NULL,
    key     TEXT   NOT NULL,
    request TEXT   NOT NULL,
    tenant  UUID   NOT NULL,
    until   BIGINT NOT NULL,
    PRIMARY KEY (owner, key)
);
CREATE INDEX idempotency_keys_until ON idempotency_keys (until);

-- Tenants that are gone, while their slug is kept back.
CREATE TABLE gone_tenants (
    id         UUID   PRIMARY KEY,
    slug       TEXT   NOT NULL,
    owner      UUID   NOT NULL,
    desired    JSON   NOT NULL,
    revision   BIGINT NOT NULL,
    generation BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    until      BIGINT NOT NULL
);
CREATE INDEX gone_tenants_slug ON gone_tenants (slug);
CREATE INDEX gone_tenants_until ON gone_tenants (until);

-- The last numbers given out. Each transaction that changes a tenant takes this row's lock in its last
-- statement and keeps it until its commit is visible: so numbers become visible in their order, and a
-- reader that has seen one has missed none below it.
CREATE TABLE numbers (
    only_row BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (only_row),
    change   BIGINT  NOT NULL,
    event    BIGINT  NOT NULL
);
INSERT INTO numbers (change, event) VALUES (0, 0);

-- Each tenant once, under the number of its last change.
CREATE TABLE changes (
    tenant UUID   PRIMARY KEY,
    number BIGINT NOT NULL UNIQUE
);

CREATE TABLE events (
    number BIGINT PRIMARY KEY,
    tenant UUID   NOT NULL,
    at     BIGINT NOT NULL,
    event  JSON   NOT NULL
);
CREATE INDEX events_tenant ON events (tenant, number);

CREATE TABLE accounts (
    id         UUID    PRIMARY KEY,
    issuer     TEXT    NOT NULL,
    subject    TEXT    NOT NULL,
    email      TEXT,
    name       TEXT,
    admin      BOOLEAN NOT NULL DEFAULT FALSE,
    plan       TEXT,
    created_at BIGINT  NOT NULL,
    UNIQUE (issuer, subject)
);
CREATE INDEX accounts_admin ON accounts (id) WHERE admin;

-- `secret` is a SHA-256: the secrets themselves never come here.
CREATE TABLE grants (
    kind       TEXT   NOT NULL,
    secret     BYTEA  NOT NULL,
    account    UUID,
    data       TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (kind, secret)
);
CREATE INDEX grants_account ON grants (account, kind);
CREATE INDEX grants_expires ON grants (expires_at);

CREATE TABLE passwords (
    username TEXT PRIMARY KEY,
    phc      TEXT NOT NULL
);

CREATE TABLE server_values (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);
