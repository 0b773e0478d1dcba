-- What is asked for all the time, made cheap: a function in SQL with its own rights is planned anew at each call, one in
-- PL/pgSQL once in a session.

DROP FUNCTION fleet.expired_leases(timestamptz, integer);
DROP FUNCTION fleet.due_proposals(timestamptz, integer);
DROP FUNCTION fleet.due_items(timestamptz, integer);
DROP FUNCTION fleet.lost_reservations(timestamptz, integer);
DROP FUNCTION fleet.stale_series(timestamptz, integer);
DROP FUNCTION fleet.due_queues(timestamptz, integer);
DROP FUNCTION fleet.due_wakes(timestamptz, timestamptz, integer);
DROP FUNCTION fleet.due_budget_days(timestamptz, integer);
DROP FUNCTION fleet.due_cards(timestamptz, integer);

-- What time causes, of all tenants and of every kind, at most so many of a kind. The caller looks again under the lock of what
-- is named; a queue, a waking, a day and cards are their tenant's, and nothing else names them.
CREATE FUNCTION fleet.due(p_now timestamptz, p_cards_before timestamptz, p_lost_before timestamptz, p_listening timestamptz,
    p_again timestamptz, p_limit integer) RETURNS TABLE (kind text, tenant_id text, id uuid)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    -- Tasks whose lease has ended, the longest ago first.
    (SELECT 'lease', a.tenant_id, a.task_id FROM fleet.attempts a
        WHERE a.ended_at IS NULL AND a.lease_until <= p_now
        ORDER BY a.lease_until LIMIT p_limit)
    UNION ALL
    -- Proposals with something to do: an end whose room has been read up to it, or has not been for ten minutes, and a reminder.
    (SELECT 'proposal', p.tenant_id, p.id FROM fleet.proposals p
        JOIN fleet.rooms r ON r.tenant_id = p.tenant_id AND r.id = p.room
        WHERE p.state = 'open' AND (
            (p.ends_at <= p_now AND (r.read_up_to >= p.ends_at OR r.room_id IS NULL OR p.ends_at + interval '10 minutes' <= p_now))
            OR (p.early_at <= p_now AND (r.read_up_to >= p.early_at OR r.room_id IS NULL))
            OR (NOT p.reminded AND p.remind_at <= p_now))
        ORDER BY p.ends_at LIMIT p_limit)
    UNION ALL
    -- Items whose being unacknowledged is to be looked at.
    (SELECT 'item', i.tenant_id, i.id FROM fleet.items i
        WHERE i.acknowledged_at IS NULL AND i.due_at <= p_now
        ORDER BY i.due_at LIMIT p_limit)
    UNION ALL
    -- Tasks that are kept for an agent of which nothing was heard since, neither before nor after they were given to it. Who asks
    -- its inbox is not lost, nor who holds a lease: that ends by itself.
    (SELECT 'reservation', t.tenant_id, t.id FROM fleet.tasks t
        JOIN fleet.agents a ON a.tenant_id = t.tenant_id AND a.id = t.reserved_agent
        WHERE t.reserved_agent IS NOT NULL
          AND (a.retired_at IS NOT NULL OR greatest(a.heartbeat_at, a.listened_at, t.reserved_at) <= p_lost_before
               AND NOT EXISTS (SELECT FROM fleet.attempts h
                               WHERE h.tenant_id = a.tenant_id AND h.agent_id = a.id AND h.ended_at IS NULL))
        LIMIT p_limit)
    UNION ALL
    -- Series whose meter was read too long ago, and of which nobody was told.
    (SELECT 'stale', s.tenant_id, s.id FROM fleet.budget_series s
        WHERE s.meter = 'reading' AND s.last_checked_at + s.stale_seconds * interval '1 second' < p_now
          AND NOT EXISTS (SELECT FROM fleet.budget_alerts a
                          WHERE a.tenant_id = s.tenant_id AND a.series_id = s.id AND a.rule = 'budget.stale')
        LIMIT p_limit)
    UNION ALL
    -- Tenants in whose queue something is due.
    (SELECT 'queue', q.tenant_id, NULL::uuid FROM (
            SELECT b.tenant_id FROM fleet.budget_queue b WHERE b.look_at <= p_now
            UNION
            SELECT n.tenant_id FROM fleet.budget_nudges n WHERE n.at <= p_now) q
        LIMIT p_limit)
    UNION ALL
    -- Tenants in which work is ready and an agent of its role listens idle.
    (SELECT 'wake', s.tenant_id, NULL FROM fleet.settings s
        WHERE NOT s.paused AND EXISTS (
            SELECT FROM fleet.idle_agents a
            WHERE a.tenant_id = s.tenant_id AND a.listened_at > p_listening AND NOT a.is_told
              AND (a.woken_at IS NULL OR a.woken_at <= p_again)
              AND EXISTS (SELECT FROM fleet.open_tasks t WHERE t.tenant_id = a.tenant_id AND t.role = a.role))
        LIMIT p_limit)
    UNION ALL
    -- Tenants with limits whose day is due, or was never planned.
    (SELECT 'day', t.tenant_id, NULL FROM fleet.tenants t LEFT JOIN fleet.budget_days d ON d.tenant_id = t.tenant_id
        WHERE coalesce(d.due_at <= p_now, true)
          AND EXISTS (SELECT FROM fleet.budget_series s WHERE s.tenant_id = t.tenant_id)
        LIMIT p_limit)
    UNION ALL
    -- Tenants with rooms and agents, or with cards, at which nobody has looked since.
    (SELECT 'cards', t.tenant_id, NULL FROM fleet.tenants t LEFT JOIN fleet.card_looks l ON l.tenant_id = t.tenant_id
        WHERE coalesce(l.at <= p_cards_before, true)
          AND EXISTS (SELECT FROM fleet.rooms r WHERE r.tenant_id = t.tenant_id AND r.kind = 'plan' AND r.room_id IS NOT NULL)
          AND (EXISTS (SELECT FROM fleet.agents a WHERE a.tenant_id = t.tenant_id AND a.retired_at IS NULL)
               OR EXISTS (SELECT FROM fleet.role_cards c WHERE c.tenant_id = t.tenant_id))
        LIMIT p_limit);
END
$$;
REVOKE ALL ON FUNCTION fleet.due(timestamptz, timestamptz, timestamptz, timestamptz, timestamptz, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fleet.due(timestamptz, timestamptz, timestamptz, timestamptz, timestamptz, integer) TO fleet_app;

-- The attempt is over: its holds no longer count as running work. Lost: it ended without its word.
CREATE OR REPLACE FUNCTION fleet.holds_end(p_task uuid, p_attempt integer, p_now timestamptz, p_lost boolean) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE fleet.holds SET ended_at = p_now, lost_at = CASE WHEN p_lost THEN p_now END
    WHERE tenant_id = current_setting('fleet.tenant') AND task_id = p_task AND attempt = p_attempt AND ended_at IS NULL;
END
$$;

DROP FUNCTION fleet.budget_recompute(uuid);

-- Derives the totals of a series' windows from one on anew from the ledger's rows, after its end moved: what lies before it has
-- not changed.
CREATE FUNCTION fleet.budget_recompute(p_series uuid, p_from timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE fleet.budget_windows w SET (committed, presumed) = (
        SELECT coalesce(sum(l.committed), 0), coalesce(sum(l.presumed), 0) FROM fleet.ledger l
        WHERE l.tenant_id = w.tenant_id AND l.series_id = w.series_id AND l.at >= w.starts_at
          AND (w.resets_at IS NULL OR l.at < w.resets_at) AND (l.committed <> 0 OR l.presumed <> 0))
    WHERE w.tenant_id = current_setting('fleet.tenant') AND w.series_id = p_series AND w.starts_at >= p_from;
END
$$;
REVOKE ALL ON FUNCTION fleet.budget_recompute(uuid, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fleet.budget_recompute(uuid, timestamptz) TO fleet_app;
