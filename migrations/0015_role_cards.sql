-- The card of a role: one pinned message that says what its agents do, kept current by edits.
CREATE TABLE fleet.role_cards (
    tenant_id text NOT NULL REFERENCES fleet.tenants,
    role text NOT NULL CHECK (role ~ '^[a-z0-9][a-z0-9_.-]{0,63}$'),
    -- The room, and the Matrix room that it was: an upgraded one gets a card of its own.
    room uuid NOT NULL,
    room_id text NOT NULL,
    -- The outbox row of the message.
    card uuid NOT NULL,
    -- What it says: only a change is sent.
    shown jsonb NOT NULL,
    PRIMARY KEY (tenant_id, role),
    FOREIGN KEY (tenant_id, room) REFERENCES fleet.rooms (tenant_id, id)
);
CALL fleet.protect('fleet.role_cards');
GRANT SELECT, INSERT, UPDATE (room, room_id, card, shown), DELETE ON fleet.role_cards TO fleet_app;

-- When the cards of a tenant were last compared with the register.
CREATE TABLE fleet.card_looks (
    tenant_id text PRIMARY KEY REFERENCES fleet.tenants,
    at timestamptz NOT NULL
);
CALL fleet.protect('fleet.card_looks');
GRANT SELECT, INSERT, UPDATE (at) ON fleet.card_looks TO fleet_app;

-- Tenants with rooms and agents, or with cards, at which nobody has looked since. The caller looks again under
-- the row's lock.
CREATE FUNCTION fleet.due_cards(p_before timestamptz, p_limit integer) RETURNS TABLE (tenant_id text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT t.tenant_id FROM fleet.tenants t LEFT JOIN fleet.card_looks l ON l.tenant_id = t.tenant_id
    WHERE coalesce(l.at <= p_before, true)
      AND EXISTS (SELECT FROM fleet.rooms r WHERE r.tenant_id = t.tenant_id AND r.kind = 'plan' AND r.room_id IS NOT NULL)
      AND (EXISTS (SELECT FROM fleet.agents a WHERE a.tenant_id = t.tenant_id AND a.retired_at IS NULL)
           OR EXISTS (SELECT FROM fleet.role_cards c WHERE c.tenant_id = t.tenant_id))
    LIMIT p_limit
$$;
REVOKE ALL ON FUNCTION fleet.due_cards(timestamptz, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fleet.due_cards(timestamptz, integer) TO fleet_app;
