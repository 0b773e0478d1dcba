-- Agents that listen and have nothing to do, who was told that work is ready, and limits that operators set.

ALTER TABLE fleet.agents
    -- When it last asked its inbox, to within ten seconds.
    ADD listened_at timestamptz,
    -- When it was last told that work is ready for its role, and by which item; none once it has tried to claim.
    ADD woken_at timestamptz,
    ADD woken_item uuid,
    ADD FOREIGN KEY (tenant_id, woken_item) REFERENCES fleet.items (tenant_id, id);
GRANT UPDATE (listened_at, woken_at, woken_item) ON fleet.agents TO fleet_app;

-- A person told it in a room, and the answer there says what becomes of it.
ALTER TABLE fleet.items ADD is_followed boolean NOT NULL DEFAULT false;
GRANT UPDATE (is_followed) ON fleet.items TO fleet_app;

GRANT UPDATE (chain_hops, chain_messages, chain_tokens) ON fleet.settings TO fleet_app;

-- Who asks its inbox is not lost, nor who holds a lease: that ends by itself.
CREATE OR REPLACE FUNCTION fleet.lost_reservations(p_before timestamptz, p_limit integer)
    RETURNS TABLE (tenant_id text, task_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT t.tenant_id, t.id FROM fleet.tasks t
    JOIN fleet.agents a ON a.tenant_id = t.tenant_id AND a.id = t.reserved_agent
    WHERE t.reserved_agent IS NOT NULL
      AND (a.retired_at IS NOT NULL OR greatest(a.heartbeat_at, a.listened_at, t.reserved_at) <= p_before
           AND NOT EXISTS (SELECT FROM fleet.attempts h
                           WHERE h.tenant_id = a.tenant_id AND h.agent_id = a.id AND h.ended_at IS NULL))
    LIMIT p_limit
$$;

-- Agents that have an inbox they asked, and hold nothing; whether what they were told of ready work is still unread.
CREATE VIEW fleet.idle_agents WITH (security_invoker = true) AS
    SELECT a.tenant_id, a.id, a.role, a.name, a.listened_at, a.woken_at, a.context_tokens,
           EXISTS (SELECT FROM fleet.items i WHERE i.tenant_id = a.tenant_id AND i.id = a.woken_item
                   AND i.acknowledged_at IS NULL) AS is_told
    FROM fleet.agents a
    WHERE a.retired_at IS NULL AND a.listened_at IS NOT NULL
      AND NOT EXISTS (SELECT FROM fleet.attempts t WHERE t.tenant_id = a.tenant_id AND t.agent_id = a.id AND t.ended_at IS NULL);
-- Tasks that anybody of their role may claim now, apart from the budget.
CREATE VIEW fleet.open_tasks WITH (security_invoker = true) AS
    SELECT t.tenant_id, t.id, t.role FROM fleet.tasks t
    WHERE t.status = 'pending' AND t.reserved_agent IS NULL
      AND NOT EXISTS (SELECT FROM fleet.task_dependencies d
                      JOIN fleet.tasks o ON o.tenant_id = d.tenant_id AND o.id = d.depends_on
                      WHERE d.tenant_id = t.tenant_id AND d.task_id = t.id AND o.status <> 'completed');
GRANT SELECT ON fleet.idle_agents, fleet.open_tasks TO fleet_app;

-- Tenants in which work is ready and an agent of its role listens idle. The caller looks again under a lock.
CREATE FUNCTION fleet.due_wakes(p_listening timestamptz, p_again timestamptz, p_limit integer) RETURNS TABLE (tenant_id text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT s.tenant_id FROM fleet.settings s
    WHERE NOT s.paused AND EXISTS (
        SELECT FROM fleet.idle_agents a
        WHERE a.tenant_id = s.tenant_id AND a.listened_at > p_listening AND NOT a.is_told
          AND (a.woken_at IS NULL OR a.woken_at <= p_again)
          AND EXISTS (SELECT FROM fleet.open_tasks t WHERE t.tenant_id = a.tenant_id AND t.role = a.role))
    LIMIT p_limit
$$;
REVOKE ALL ON FUNCTION fleet.due_wakes(timestamptz, timestamptz, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fleet.due_wakes(timestamptz, timestamptz, integer) TO fleet_app;
