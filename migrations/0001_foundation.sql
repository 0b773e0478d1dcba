-- The register's ground: tenants, who may do what, rooms, the journal of admitted events, the
-- outbox, incidents.
--
-- Two roles. Whoever runs the migrations owns everything. `fleet_app` owns nothing, and row-level
-- security shows it the rows of one tenant: the one set in `fleet.tenant` for the transaction.
-- Unset means no rows. What must look across tenants is a named SECURITY DEFINER function that
-- returns ids only.

CREATE SCHEMA IF NOT EXISTS fleet;

-- Roles belong to the cluster, not to the database: two databases may be migrated at once.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'fleet_app') THEN
        BEGIN
            CREATE ROLE fleet_app LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
        END;
    END IF;
END
$$;

REVOKE ALL ON SCHEMA fleet FROM PUBLIC;
GRANT USAGE ON SCHEMA fleet TO fleet_app;

-- Turns row-level security on for a table. The owner is bound too (FORCE), and may read across
-- tenants but write only within the tenant that is set: so SECURITY DEFINER functions can sweep
-- also where the owner is no superuser.
CREATE PROCEDURE fleet.protect(p_table regclass)
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', p_table);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', p_table);
    EXECUTE format('CREATE POLICY tenant ON %s USING (tenant_id = current_setting(''fleet.tenant'', true)) WITH CHECK (tenant_id = current_setting(''fleet.tenant'', true))', p_table);
    EXECUTE format('CREATE POLICY owner_reads ON %s FOR SELECT TO CURRENT_USER USING (true)', p_table);
END
$$;
REVOKE ALL ON PROCEDURE fleet.protect(regclass) FROM PUBLIC;

-- Tenants ------------------------------------------------------------------------------------

CREATE TABLE fleet.tenants (
    tenant_id text PRIMARY KEY CHECK (tenant_id ~ '^[a-z0-9][a-z0-9_.-]{0,63}$'),
    -- Names the tenant's sequences: a tenant's name may be longer than an identifier.
    ordinal integer GENERATED ALWAYS AS IDENTITY UNIQUE,
    -- IANA name of the zone in which times without one are read.
    zone text NOT NULL DEFAULT 'UTC' CHECK (zone <> ''),
    created_at timestamptz NOT NULL DEFAULT now()
);
CALL fleet.protect('fleet.tenants');
GRANT SELECT ON fleet.tenants TO fleet_app;

-- PAUSE and what else is switched for the whole fleet; one row per tenant.
CREATE TABLE fleet.settings (
    tenant_id text PRIMARY KEY REFERENCES fleet.tenants,
    paused boolean NOT NULL DEFAULT false,
    paused_by text,
    pause_reason text,
    paused_since timestamptz,
    CHECK (NOT paused OR (paused_by IS NOT NULL AND paused_since IS NOT NULL))
);
CALL fleet.protect('fleet.settings');
GRANT SELECT, UPDATE (paused, paused_by, pause_reason, paused_since) ON fleet.settings TO fleet_app;

-- Every tenant has its settings, and one sequence per kind of thing that people number (t142, m7,
-- p12). A sequence and not a counter row: a row would be locked until commit, and so would make
-- every write of the tenant wait for the one before. Gaps are allowed.
CREATE FUNCTION fleet.tenant_added() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    kind text;
BEGIN
    FOREACH kind IN ARRAY ARRAY['task', 'mission', 'proposal'] LOOP
        EXECUTE format('CREATE SEQUENCE fleet.number_%s_%s AS integer', NEW.ordinal, kind);
        EXECUTE format('GRANT USAGE ON SEQUENCE fleet.number_%s_%s TO fleet_app', NEW.ordinal, kind);
    END LOOP;
    INSERT INTO fleet.settings (tenant_id) VALUES (NEW.tenant_id);
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION fleet.tenant_added() FROM PUBLIC;
CREATE TRIGGER tenant_added AFTER INSERT ON fleet.tenants FOR EACH ROW EXECUTE FUNCTION fleet.tenant_added();

-- The next number of a kind (`task`, `mission`, `proposal`) in the tenant with an ordinal. One
-- expression, which the planner puts into the statement that calls it.
CREATE FUNCTION fleet.next_number(p_ordinal integer, p_kind text) RETURNS integer
LANGUAGE sql VOLATILE
RETURN pg_catalog.nextval(('fleet.number_' || p_ordinal || '_' || p_kind)::regclass)::integer;
REVOKE ALL ON FUNCTION fleet.next_number(integer, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fleet.next_number(integer, text) TO fleet_app;

-- Who may do what ----------------------------------------------------------------------------

-- Roles of Matrix users, in the whole fleet or in the room with a key.
CREATE TABLE fleet.grants (
    tenant_id text NOT NULL REFERENCES fleet.tenants,
    user_id text NOT NULL CHECK (user_id LIKE '@%:%'),
    role text NOT NULL CHECK (role IN ('viewer', 'agent', 'member', 'operator')),
    room_key text,
    granted_by text NOT NULL,
    granted_at timestamptz NOT NULL,
    -- What an operator may do reaches beyond any room.
    CHECK (role <> 'operator' OR room_key IS NULL)
);
-- PostgreSQL 15's NULLS NOT DISTINCT: one grant of a role in the whole fleet.
CREATE UNIQUE INDEX grants_once ON fleet.grants (tenant_id, user_id, role, room_key) NULLS NOT DISTINCT;
CALL fleet.protect('fleet.grants');
GRANT SELECT, INSERT, DELETE ON fleet.grants TO fleet_app;

-- Tokens of services, operators and agents. The token itself is nowhere, only its SHA-256.
CREATE TABLE fleet.tokens (
    tenant_id text NOT NULL REFERENCES fleet.tenants,
    id uuid NOT NULL,
    sha256 bytea NOT NULL UNIQUE CHECK (octet_length(sha256) = 32),
    name text NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9_.-]{0,63}$'),
    -- The Matrix user for whom it acts; none for a service that acts for nobody.
    user_id text CHECK (user_id LIKE '@%:%'),
    scopes text[] NOT NULL CHECK (scopes <@ ARRAY['bot', 'operator', 'agent', 'metrics'] AND cardinality(scopes) > 0),
    created_at timestamptz NOT NULL,
    revoked_at timestamptz,
    PRIMARY KEY (tenant_id, id)
);
CALL fleet.protect('fleet.tokens');
GRANT SELECT ON fleet.tokens TO fleet_app;

-- Which tenant's token has this SHA-256.
CREATE FUNCTION fleet.find_token(p_sha256 bytea) RETURNS TABLE (tenant_id text, id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT t.tenant_id, t.id FROM fleet.tokens t WHERE t.sha256 = p_sha256 AND t.revoked_at IS NULL
$$;
REVOKE ALL ON FUNCTION fleet.find_token(bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fleet.find_token(bytea) TO fleet_app;

-- Rooms --------------------------------------------------------------------------------------

CREATE TABLE fleet.rooms (
    tenant_id text NOT NULL REFERENCES fleet.tenants,
    id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('space', 'plan', 'direct', 'other')),
    -- Key, name, topic and alias of a room that the fleet plans; none for a room it only is in.
    key text CHECK (key ~ '^[a-z0-9][a-z0-9_.-]{0,63}$'),
    name text,
    topic text,
    alias text,
    -- The Matrix room; none until the bot has made it.
    room_id text CHECK (room_id LIKE '!%'),
    -- The Matrix rooms it was before upgrades (tombstones).
    former_room_ids text[] NOT NULL DEFAULT '{}',
    verbosity text NOT NULL DEFAULT 'normal' CHECK (verbosity IN ('quiet', 'normal', 'verbose')),
    -- How far it has been read: the last event, and the homeserver's time up to which nothing was missed.
    mark_event_id text,
    read_up_to timestamptz,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, key),
    UNIQUE (tenant_id, room_id),
    CHECK ((kind IN ('space', 'plan')) = (key IS NOT NULL)),
    CHECK (key IS NULL OR (name IS NOT NULL AND topic IS NOT NULL AND alias IS NOT NULL)),
    CHECK ((mark_event_id IS NULL) = (read_up_to IS NULL))
);
CALL fleet.protect('fleet.rooms');
GRANT SELECT, INSERT, UPDATE (room_id, former_room_ids, verbosity, mark_event_id, read_up_to) ON fleet.rooms TO fleet_app;

-- One live bot per Matrix account: a later grant's epoch makes the earlier one stale.
CREATE TABLE fleet.bot_leases (
    tenant_id text NOT NULL REFERENCES fleet.tenants,
    account text NOT NULL CHECK (account LIKE '@%:%'),
    epoch bigint NOT NULL CHECK (epoch > 0),
    holder uuid NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, account)
);
CALL fleet.protect('fleet.bot_leases');
GRANT SELECT, INSERT, UPDATE (epoch, holder, expires_at) ON fleet.bot_leases TO fleet_app;

-- The journal --------------------------------------------------------------------------------

-- Every event, call and timed effect that was admitted, with what became of it. Written once, with
-- its effects, in one transaction; never changed. A key is unique for ever: that is what makes an
-- event one effect.
CREATE TABLE fleet.admitted (
    tenant_id text NOT NULL REFERENCES fleet.tenants,
    key text NOT NULL CHECK (char_length(key) BETWEEN 1 AND 512),
    id uuid NOT NULL,
    -- Over room, sender, type and content: tells a replay from another body under the same key.
    digest text NOT NULL,
    principal text NOT NULL,
    -- The room it came from; none for a call outside rooms.
    room uuid,
    -- Dotted name of the verb; none for an event that asks nothing.
    verb text,
    body jsonb NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('done', 'refused', 'failed', 'skipped')),
    reply jsonb,
    problem jsonb,
    -- The roles that counted and the power level, as they were when it ran.
    authority jsonb NOT NULL DEFAULT '{}',
    admitted_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, key),
    UNIQUE (tenant_id, id),
    FOREIGN KEY (tenant_id, room) REFERENCES fleet.rooms (tenant_id, id),
    CHECK ((outcome IN ('refused', 'failed')) = (problem IS NOT NULL)),
    CHECK (outcome = 'done' OR reply IS NULL)
);
CALL fleet.protect('fleet.admitted');
GRANT SELECT, INSERT ON fleet.admitted TO fleet_app;

-- The outbox ---------------------------------------------------------------------------------

-- What is to be said, each exactly once. What is said is never changed; how far it got is.
CREATE TABLE fleet.outbox (
    tenant_id text NOT NULL REFERENCES fleet.tenants,
    id uuid NOT NULL,
    -- Order of writing within a transaction.
    seq bigint GENERATED ALWAYS AS IDENTITY,
    room uuid NOT NULL,
    post jsonb NOT NULL,
    relation jsonb,
    -- The row or event that the relation points at.
    target_row uuid,
    target_event text,
    -- What the message is about, so that a reply to it, or a reaction on it, finds it.
    subject_kind text CHECK (subject_kind IN ('task', 'mission', 'proposal', 'incident', 'agent', 'budget')),
    subject_id uuid,
    -- The admission that caused it; none for what the fleet says by itself.
    cause uuid,
    created_at timestamptz NOT NULL,
    device text,
    first_attempt_at timestamptz,
    attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sent', 'dead', 'parked', 'superseded')),
    reason text,
    settled_at timestamptz,
    event_id text,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, room) REFERENCES fleet.rooms (tenant_id, id),
    FOREIGN KEY (tenant_id, target_row) REFERENCES fleet.outbox (tenant_id, id),
    CHECK ((state = 'sent') = (event_id IS NOT NULL)),
    CHECK ((state IN ('sent', 'dead', 'superseded')) = (settled_at IS NOT NULL)),
    CHECK ((device IS NULL) = (first_attempt_at IS NULL)),
    CHECK ((subject_kind IS NULL) = (subject_id IS NULL)),
    CHECK (relation IS NOT NULL OR (target_row IS NULL AND target_event IS NULL)),
    CHECK (target_row IS NULL OR target_event IS NULL)
);
CREATE INDEX outbox_unsettled ON fleet.outbox (tenant_id, room, seq) WHERE state IN ('pending', 'parked');
CREATE INDEX outbox_by_event ON fleet.outbox (tenant_id, event_id) WHERE event_id IS NOT NULL;
CREATE INDEX outbox_by_subject ON fleet.outbox (tenant_id, subject_kind, subject_id) WHERE subject_id IS NOT NULL;
CREATE INDEX outbox_waiting_for_row ON fleet.outbox (tenant_id, target_row) WHERE state = 'pending' AND target_row IS NOT NULL;
CREATE INDEX outbox_waiting_for_event ON fleet.outbox (tenant_id, target_event) WHERE state = 'pending' AND target_event IS NOT NULL;
CALL fleet.protect('fleet.outbox');
GRANT SELECT, INSERT,
    UPDATE (device, first_attempt_at, attempts, state, reason, settled_at, event_id) ON fleet.outbox TO fleet_app;

-- Incidents and audit ------------------------------------------------------------------------

-- What a person must know about: one open incident per rule and subject, one message, edited.
CREATE TABLE fleet.incidents (
    tenant_id text NOT NULL REFERENCES fleet.tenants,
    id uuid NOT NULL,
    rule text NOT NULL CHECK (rule ~ '^[a-z0-9][a-z0-9_.-]{0,63}$'),
    subject text NOT NULL CHECK (char_length(subject) BETWEEN 1 AND 512),
    detail text NOT NULL,
    opened_at timestamptz NOT NULL,
    resolved_at timestamptz,
    -- The outbox row of its message.
    message uuid,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, message) REFERENCES fleet.outbox (tenant_id, id) DEFERRABLE INITIALLY DEFERRED,
    CHECK (resolved_at IS NULL OR resolved_at >= opened_at)
);
CREATE UNIQUE INDEX incidents_open_once ON fleet.incidents (tenant_id, rule, subject) WHERE resolved_at IS NULL;
CALL fleet.protect('fleet.incidents');
GRANT SELECT, INSERT, UPDATE (detail, resolved_at, message) ON fleet.incidents TO fleet_app;

-- Changes of authority and of switches, apart from the journal because they are asked for by person.
CREATE TABLE fleet.audit (
    tenant_id text NOT NULL REFERENCES fleet.tenants,
    id uuid NOT NULL,
    at timestamptz NOT NULL,
    principal text NOT NULL,
    action text NOT NULL,
    subject text NOT NULL,
    detail jsonb NOT NULL DEFAULT '{}',
    -- The admission that did it; none for what happened outside the journal.
    cause uuid,
    PRIMARY KEY (tenant_id, id)
);
CALL fleet.protect('fleet.audit');
GRANT SELECT, INSERT ON fleet.audit TO fleet_app;
