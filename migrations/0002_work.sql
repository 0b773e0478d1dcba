-- Work: agents, missions, tasks, what tasks wait for, attempts under leases, and what happened.

-- An agent is named after its role; each restart is a new incarnation of the same name.
CREATE TABLE fleet.agents (
    tenant_id text NOT NULL REFERENCES fleet.tenants,
    id uuid NOT NULL,
    name text NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9_.-]{0,63}$'),
    role text NOT NULL CHECK (role ~ '^[a-z0-9][a-z0-9_.-]{0,63}$'),
    host text NOT NULL CHECK (host ~ '^[a-z0-9][a-z0-9_.-]{0,63}$'),
    runtime text CHECK (runtime ~ '^[a-z0-9][a-z0-9_.-]{0,63}$'),
    model text CHECK (model ~ '^[a-z0-9][a-z0-9_.-]{0,63}$'),
    user_id text NOT NULL CHECK (user_id ~ '^@[^:]+:.+$' AND length(user_id) <= 255),
    incarnation bigint NOT NULL DEFAULT 1 CHECK (incarnation >= 1),
    context_tokens bigint CHECK (context_tokens >= 0),
    registered_at timestamptz NOT NULL,
    heartbeat_at timestamptz,
    retired_at timestamptz,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, name)
);
CALL fleet.protect('fleet.agents');
GRANT SELECT, INSERT, UPDATE (role, host, runtime, model, user_id, incarnation, context_tokens, registered_at, heartbeat_at, retired_at)
    ON fleet.agents TO fleet_app;
-- A Matrix account is one agent, so that whoever writes with it is known.
CREATE UNIQUE INDEX agents_user ON fleet.agents (tenant_id, user_id) WHERE retired_at IS NULL;
COMMENT ON COLUMN fleet.agents.model IS 'highest model allowed; pacing may lower it, never raise it';

CREATE TABLE fleet.missions (
    tenant_id text NOT NULL REFERENCES fleet.tenants,
    id uuid NOT NULL,
    number integer NOT NULL CHECK (number > 0),
    title text NOT NULL CHECK (length(title) BETWEEN 1 AND 200),
    goal text CHECK (length(goal) BETWEEN 1 AND 20000),
    projected_tokens bigint CHECK (projected_tokens >= 0),
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    closed_by text,
    closed_at timestamptz,
    summary text CHECK (length(summary) BETWEEN 1 AND 2000),
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, number),
    CHECK ((closed_at IS NULL) = (closed_by IS NULL)),
    CHECK (closed_at IS NOT NULL OR summary IS NULL)
);
CALL fleet.protect('fleet.missions');
GRANT SELECT, INSERT, UPDATE (closed_by, closed_at, summary) ON fleet.missions TO fleet_app;

CREATE TABLE fleet.tasks (
    tenant_id text NOT NULL REFERENCES fleet.tenants,
    id uuid NOT NULL,
    number integer NOT NULL CHECK (number > 0),
    mission_id uuid,
    title text NOT NULL CHECK (length(title) BETWEEN 1 AND 200),
    brief text CHECK (length(brief) BETWEEN 1 AND 20000),
    task_type text NOT NULL DEFAULT 'coding'
        CHECK (task_type IN ('coding', 'deploy', 'research', 'review', 'documentation', 'infrastructure')),
    dispatch text CHECK (dispatch IN ('yolo', 'acp', 'exec')),
    role text NOT NULL CHECK (role ~ '^[a-z0-9][a-z0-9_.-]{0,63}$'),
    runtime text,
    worktree text,
    branch text,
    brief_path text,
    result_path text,
    issue text,
    pr text,
    command text,
    timeout_seconds integer CHECK (timeout_seconds > 0),
    quality_gates jsonb CHECK (jsonb_typeof(quality_gates) = 'array'),
    priority smallint NOT NULL DEFAULT 50 CHECK (priority BETWEEN 0 AND 100),
    provider text,
    projected_tokens bigint CHECK (projected_tokens >= 0),
    status text NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending', 'running', 'gated', 'completed', 'failed', 'escalated', 'blocked', 'queued',
                          'budget_paused', 'cancelled')),
    status_note text CHECK (length(status_note) <= 4000),
    percent smallint CHECK (percent BETWEEN 0 AND 100),
    -- Attempts begun; also the number of the newest row in fleet.attempts.
    attempt integer NOT NULL DEFAULT 0 CHECK (attempt >= 0),
    -- Attempts that failed or whose lease ended; handing work back is no failure.
    failures integer NOT NULL DEFAULT 0 CHECK (failures >= 0),
    max_attempts integer NOT NULL DEFAULT 3 CHECK (max_attempts >= 1),
    -- The newest epoch; only ever grows.
    epoch bigint NOT NULL DEFAULT 0 CHECK (epoch >= 0),
    summary text CHECK (length(summary) <= 2000),
    files_changed text[] NOT NULL DEFAULT '{}',
    exit_code integer,
    gate_results jsonb CHECK (jsonb_typeof(gate_results) = 'array'),
    error text,
    escalation_reason text,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    ended_at timestamptz,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, number),
    FOREIGN KEY (tenant_id, mission_id) REFERENCES fleet.missions (tenant_id, id),
    CHECK ((ended_at IS NOT NULL) = (status IN ('completed', 'failed', 'cancelled')))
);
CALL fleet.protect('fleet.tasks');
GRANT SELECT, INSERT,
    UPDATE (status, status_note, percent, attempt, failures, epoch, summary, files_changed, exit_code, gate_results, error,
            escalation_reason, provider, updated_at, ended_at) ON fleet.tasks TO fleet_app;
-- What a claim looks through: waiting tasks of a role, most urgent first.
CREATE INDEX tasks_claimable ON fleet.tasks (tenant_id, role, priority DESC, number)
    WHERE status IN ('pending', 'queued', 'budget_paused');
CREATE INDEX tasks_by_status ON fleet.tasks (tenant_id, status, number);
CREATE INDEX tasks_of_mission ON fleet.tasks (tenant_id, mission_id) WHERE mission_id IS NOT NULL;

CREATE TABLE fleet.task_dependencies (
    tenant_id text NOT NULL,
    task_id uuid NOT NULL,
    depends_on uuid NOT NULL,
    PRIMARY KEY (tenant_id, task_id, depends_on),
    FOREIGN KEY (tenant_id, task_id) REFERENCES fleet.tasks (tenant_id, id),
    FOREIGN KEY (tenant_id, depends_on) REFERENCES fleet.tasks (tenant_id, id),
    CHECK (task_id <> depends_on)
);
CALL fleet.protect('fleet.task_dependencies');
GRANT SELECT, INSERT, DELETE ON fleet.task_dependencies TO fleet_app;
CREATE INDEX task_dependents ON fleet.task_dependencies (tenant_id, depends_on);

-- One row per claim. The one without an end is the lease in force.
CREATE TABLE fleet.attempts (
    tenant_id text NOT NULL,
    task_id uuid NOT NULL,
    attempt integer NOT NULL CHECK (attempt >= 1),
    epoch bigint NOT NULL CHECK (epoch >= 1),
    holder text NOT NULL,
    agent_id uuid,
    incarnation bigint,
    role text NOT NULL,
    started_at timestamptz NOT NULL,
    -- NULL for work held by a person: no sweep takes it away.
    lease_until timestamptz,
    ended_at timestamptz,
    outcome text CHECK (outcome IN ('completed', 'failed', 'blocked', 'released', 'cancelled', 'expired', 'retired')),
    PRIMARY KEY (tenant_id, task_id, attempt),
    UNIQUE (tenant_id, task_id, epoch),
    FOREIGN KEY (tenant_id, task_id) REFERENCES fleet.tasks (tenant_id, id),
    FOREIGN KEY (tenant_id, agent_id) REFERENCES fleet.agents (tenant_id, id),
    CHECK ((agent_id IS NULL) = (incarnation IS NULL)),
    CHECK ((agent_id IS NULL) = (lease_until IS NULL)),
    CHECK ((ended_at IS NULL) = (outcome IS NULL))
);
CALL fleet.protect('fleet.attempts');
GRANT SELECT, INSERT, UPDATE (lease_until, ended_at, outcome) ON fleet.attempts TO fleet_app;
CREATE UNIQUE INDEX attempts_in_force ON fleet.attempts (tenant_id, task_id) WHERE ended_at IS NULL;
CREATE INDEX attempts_of_agent ON fleet.attempts (tenant_id, agent_id) WHERE ended_at IS NULL;
CREATE INDEX attempts_expiring ON fleet.attempts (lease_until) WHERE ended_at IS NULL AND lease_until IS NOT NULL;

CREATE TABLE fleet.task_events (
    tenant_id text NOT NULL,
    event_id bigint GENERATED ALWAYS AS IDENTITY,
    task_id uuid NOT NULL,
    at timestamptz NOT NULL,
    event text NOT NULL CHECK (event ~ '^(task|retry|rail)\.[a-z.]+$'),
    attempt integer,
    by text NOT NULL,
    note text CHECK (length(note) <= 4000),
    admission uuid,
    PRIMARY KEY (tenant_id, event_id),
    FOREIGN KEY (tenant_id, task_id) REFERENCES fleet.tasks (tenant_id, id)
);
CALL fleet.protect('fleet.task_events');
GRANT SELECT, INSERT ON fleet.task_events TO fleet_app;
CREATE INDEX task_events_of_task ON fleet.task_events (tenant_id, task_id, event_id);

-- Doctrine 9: how many worker agents hold leases at the same time.
ALTER TABLE fleet.settings
    ADD workers_fleet integer NOT NULL DEFAULT 10 CHECK (workers_fleet >= 1),
    ADD workers_role integer NOT NULL DEFAULT 2 CHECK (workers_role >= 1);

-- Tasks whose lease has ended, the longest ago first. The caller looks again under the task's lock.
CREATE FUNCTION fleet.expired_leases(p_now timestamptz, p_limit integer) RETURNS TABLE (tenant_id text, task_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT a.tenant_id, a.task_id FROM fleet.attempts a
    WHERE a.ended_at IS NULL AND a.lease_until <= p_now
    ORDER BY a.lease_until LIMIT p_limit
$$;
REVOKE ALL ON FUNCTION fleet.expired_leases(timestamptz, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fleet.expired_leases(timestamptz, integer) TO fleet_app;
