-- What goes with a task: for whom it is kept, what its holders left behind, what the operators answered.

-- A task that was given to one agent by name is kept for it until it claims, or is lost.
ALTER TABLE fleet.tasks
    ADD reserved_agent uuid,
    ADD reserved_at timestamptz,
    ADD escalation_answer text CHECK (length(escalation_answer) <= 2000),
    ADD answered_by text,
    ADD FOREIGN KEY (tenant_id, reserved_agent) REFERENCES fleet.agents (tenant_id, id),
    ADD CHECK ((reserved_agent IS NULL) = (reserved_at IS NULL)),
    ADD CHECK ((escalation_answer IS NULL) = (answered_by IS NULL));
GRANT UPDATE (reserved_agent, reserved_at, escalation_answer, answered_by) ON fleet.tasks TO fleet_app;
CREATE INDEX tasks_reserved ON fleet.tasks (tenant_id, reserved_agent) WHERE reserved_agent IS NOT NULL;

-- The partial result with which an attempt ended.
ALTER TABLE fleet.attempts
    ADD handed_back jsonb CHECK (jsonb_typeof(handed_back) = 'object'),
    DROP CONSTRAINT attempts_outcome_check,
    ADD CONSTRAINT attempts_outcome_check CHECK (outcome IN
        ('completed', 'failed', 'blocked', 'released', 'escalated', 'cancelled', 'expired', 'retired'));
GRANT UPDATE (handed_back) ON fleet.attempts TO fleet_app;

-- Tasks that are kept for an agent of which nothing was heard since, neither before nor after they were given to it.
-- The caller looks again under the task's lock.
CREATE FUNCTION fleet.lost_reservations(p_before timestamptz, p_limit integer) RETURNS TABLE (tenant_id text, task_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT t.tenant_id, t.id FROM fleet.tasks t
    JOIN fleet.agents a ON a.tenant_id = t.tenant_id AND a.id = t.reserved_agent
    WHERE t.reserved_agent IS NOT NULL
      AND (a.retired_at IS NOT NULL OR greatest(a.heartbeat_at, t.reserved_at) <= p_before)
    LIMIT p_limit
$$;
REVOKE ALL ON FUNCTION fleet.lost_reservations(timestamptz, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fleet.lost_reservations(timestamptz, integer) TO fleet_app;
