-- What agents say to each other: chains, and one inbox for each agent.

-- A causal chain: everything that was said because of what one item, task or person began (doctrine 10).
CREATE TABLE fleet.chains (
    tenant_id text NOT NULL REFERENCES fleet.tenants,
    id uuid NOT NULL,
    started_by text NOT NULL,
    started_at timestamptz NOT NULL,
    -- What was said in it so far, and the tokens spent by agents while they acted in it.
    messages integer NOT NULL DEFAULT 0 CHECK (messages >= 0),
    tokens bigint NOT NULL DEFAULT 0 CHECK (tokens >= 0),
    -- It reached a limit: nothing more is said in it.
    stopped_at timestamptz,
    stop_reason text,
    PRIMARY KEY (tenant_id, id),
    CHECK ((stopped_at IS NULL) = (stop_reason IS NULL))
);
CALL fleet.protect('fleet.chains');
GRANT SELECT, INSERT, UPDATE (messages, tokens, stopped_at, stop_reason) ON fleet.chains TO fleet_app;

-- The chain in which an agent acts, and the hop of what it says next: that of the last item it was
-- handed. None after it claimed a task: what it says then begins a chain.
ALTER TABLE fleet.agents
    ADD chain_id uuid,
    ADD chain_hop integer NOT NULL DEFAULT 0 CHECK (chain_hop >= 0),
    ADD FOREIGN KEY (tenant_id, chain_id) REFERENCES fleet.chains (tenant_id, id);
GRANT UPDATE (chain_id, chain_hop) ON fleet.agents TO fleet_app;

-- What a person's claim looks through: waiting tasks of any role, most urgent first.
CREATE INDEX tasks_waiting ON fleet.tasks (tenant_id, priority DESC, number)
    WHERE status IN ('pending', 'queued', 'budget_paused');

-- What an agent spent since an instant.
CREATE INDEX attempts_by_agent ON fleet.attempts (tenant_id, agent_id);
CREATE INDEX spend_reports_by_time ON fleet.spend_reports (tenant_id, spent_at);

-- Limits, for the whole fleet.
ALTER TABLE fleet.settings
    -- Unacknowledged items that one inbox holds.
    ADD inbox_items integer NOT NULL DEFAULT 1000 CHECK (inbox_items >= 1),
    -- How long an item that was handed out is not handed out again.
    ADD inbox_visible_seconds integer NOT NULL DEFAULT 300 CHECK (inbox_visible_seconds >= 1),
    -- How long until what is to be acted upon is reminded of; and again until that is an incident.
    ADD inbox_remind_seconds integer NOT NULL DEFAULT 900 CHECK (inbox_remind_seconds >= 1),
    -- Since when the orchestrator knows that nothing is left to do; none while there is work.
    ADD replan_asked_at timestamptz,
    ADD chain_hops integer NOT NULL DEFAULT 16 CHECK (chain_hops >= 1),
    ADD chain_messages integer NOT NULL DEFAULT 200 CHECK (chain_messages >= 1),
    ADD chain_tokens bigint NOT NULL DEFAULT 5000000 CHECK (chain_tokens >= 1);

GRANT UPDATE (replan_asked_at) ON fleet.settings TO fleet_app;

-- Until when agents say nothing in a room, and who said so.
ALTER TABLE fleet.rooms
    ADD hushed_until timestamptz,
    ADD hushed_by text,
    ADD CHECK ((hushed_until IS NULL) = (hushed_by IS NULL));
GRANT UPDATE (hushed_until, hushed_by) ON fleet.rooms TO fleet_app;

CREATE TABLE fleet.items (
    tenant_id text NOT NULL REFERENCES fleet.tenants,
    id uuid NOT NULL,
    -- In order of saying, for one agent: taken under the lock on the agent's row.
    number integer NOT NULL CHECK (number > 0),
    -- Whose inbox; none for what an agent answered to a person, which stands in the room.
    agent_id uuid,
    to_host text NOT NULL,
    to_name text NOT NULL,
    from_agent uuid,
    from_host text NOT NULL,
    from_name text NOT NULL,
    incarnation bigint,
    -- A Matrix user, or a token's name.
    sender text NOT NULL,
    class text NOT NULL CHECK (class IN ('terminal-log', 'actionable', 'human', 'reaction')),
    text text NOT NULL CHECK (char_length(text) BETWEEN 1 AND 48000),
    task_id uuid,
    reply_to uuid,
    chain_id uuid NOT NULL,
    hop integer NOT NULL CHECK (hop >= 0),
    -- Where it was said, so that a person is answered there.
    room uuid,
    sent_at timestamptz NOT NULL,
    admission uuid NOT NULL,
    deliveries integer NOT NULL DEFAULT 0 CHECK (deliveries >= 0),
    -- The incarnation that it was handed to last, and when it may be handed out again.
    handed_to bigint,
    visible_at timestamptz NOT NULL,
    -- When its being unacknowledged is looked at again; none where nobody waits for it.
    due_at timestamptz,
    reminded_at timestamptz,
    acknowledged_at timestamptz,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, number),
    FOREIGN KEY (tenant_id, agent_id) REFERENCES fleet.agents (tenant_id, id),
    FOREIGN KEY (tenant_id, from_agent) REFERENCES fleet.agents (tenant_id, id),
    FOREIGN KEY (tenant_id, task_id) REFERENCES fleet.tasks (tenant_id, id),
    FOREIGN KEY (tenant_id, reply_to) REFERENCES fleet.items (tenant_id, id),
    FOREIGN KEY (tenant_id, chain_id) REFERENCES fleet.chains (tenant_id, id),
    FOREIGN KEY (tenant_id, room) REFERENCES fleet.rooms (tenant_id, id),
    CHECK ((deliveries = 0) = (handed_to IS NULL)),
    CHECK (agent_id IS NOT NULL OR acknowledged_at IS NOT NULL)
);
CALL fleet.protect('fleet.items');
GRANT SELECT, INSERT, UPDATE (deliveries, handed_to, visible_at, due_at, reminded_at, acknowledged_at) ON fleet.items TO fleet_app;
CREATE INDEX items_open ON fleet.items (tenant_id, agent_id, number) WHERE acknowledged_at IS NULL;
CREATE INDEX items_of_agent ON fleet.items (tenant_id, agent_id, number);
CREATE INDEX items_of_chain ON fleet.items (tenant_id, chain_id, agent_id, hop);
CREATE INDEX items_due ON fleet.items (due_at) WHERE acknowledged_at IS NULL AND due_at IS NOT NULL;

-- A reply to the message of an item finds the item.
ALTER TABLE fleet.outbox
    DROP CONSTRAINT outbox_subject_kind_check,
    ADD CONSTRAINT outbox_subject_kind_check
        CHECK (subject_kind IN ('task', 'mission', 'proposal', 'incident', 'agent', 'budget', 'item'));

-- Items whose being unacknowledged is to be looked at. The caller looks again under the item's lock.
CREATE FUNCTION fleet.due_items(p_now timestamptz, p_limit integer) RETURNS TABLE (tenant_id text, item_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT i.tenant_id, i.id FROM fleet.items i
    WHERE i.acknowledged_at IS NULL AND i.due_at <= p_now
    ORDER BY i.due_at LIMIT p_limit
$$;
REVOKE ALL ON FUNCTION fleet.due_items(timestamptz, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fleet.due_items(timestamptz, integer) TO fleet_app;

CREATE OR REPLACE FUNCTION fleet.tenant_added() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    kind text;
BEGIN
    FOREACH kind IN ARRAY ARRAY['task', 'mission', 'proposal', 'incident', 'item'] LOOP
        EXECUTE format('CREATE SEQUENCE fleet.number_%s_%s AS integer', NEW.ordinal, kind);
        EXECUTE format('GRANT USAGE ON SEQUENCE fleet.number_%s_%s TO fleet_app', NEW.ordinal, kind);
    END LOOP;
    INSERT INTO fleet.settings (tenant_id) VALUES (NEW.tenant_id);
    RETURN NULL;
END
$$;

DO $$
DECLARE
    t record;
BEGIN
    FOR t IN SELECT ordinal FROM fleet.tenants LOOP
        EXECUTE format('CREATE SEQUENCE fleet.number_%s_item AS integer', t.ordinal);
        EXECUTE format('GRANT USAGE ON SEQUENCE fleet.number_%s_item TO fleet_app', t.ordinal);
    END LOOP;
END
$$;

-- The gateway may write no token but an agent's, and of that only what it is known by.

-- Makes the token with a SHA-256 the only one in use of an agent's user. False when somebody has it already.
CREATE FUNCTION fleet.set_agent_token(p_id uuid, p_sha256 bytea, p_name text, p_user text, p_now timestamptz) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_tenant text := current_setting('fleet.tenant');
BEGIN
    IF EXISTS (SELECT FROM fleet.tokens t WHERE t.sha256 = p_sha256) THEN
        RETURN EXISTS (SELECT FROM fleet.tokens t WHERE t.sha256 = p_sha256 AND t.tenant_id = v_tenant
                       AND t.user_id = p_user AND t.scopes = ARRAY['agent'] AND t.revoked_at IS NULL);
    END IF;
    PERFORM fleet.revoke_agent_tokens(p_user, p_now);
    INSERT INTO fleet.tokens (tenant_id, id, sha256, name, user_id, scopes, created_at)
        VALUES (v_tenant, p_id, p_sha256, p_name, p_user, ARRAY['agent'], p_now);
    RETURN true;
END
$$;

-- Revokes the tokens with which an agent's user acts as an agent; how many.
CREATE FUNCTION fleet.revoke_agent_tokens(p_user text, p_now timestamptz) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH revoked AS (
        UPDATE fleet.tokens t SET revoked_at = p_now
        WHERE t.tenant_id = current_setting('fleet.tenant') AND t.user_id = p_user AND t.scopes = ARRAY['agent']
          AND t.revoked_at IS NULL
        RETURNING 1)
    SELECT count(*) FROM revoked
$$;
REVOKE ALL ON FUNCTION fleet.set_agent_token(uuid, bytea, text, text, timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION fleet.revoke_agent_tokens(text, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fleet.set_agent_token(uuid, bytea, text, text, timestamptz) TO fleet_app;
GRANT EXECUTE ON FUNCTION fleet.revoke_agent_tokens(text, timestamptz) TO fleet_app;
