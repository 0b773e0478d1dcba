-- Budget governance: who pays with which pools, how windows follow each other, what was learned, what
-- was decided and why, what waits, what providers said, and what people must know.

-- Subscriptions ------------------------------------------------------------------------------

ALTER TABLE fleet.subscriptions
    -- The provider behind the account, for example claude; none while nobody said.
    ADD provider text CHECK (provider ~ '^[a-z0-9][a-z0-9_.-]{0,63}$'),
    -- Models it serves; none serves all.
    ADD models text[] NOT NULL DEFAULT '{}',
    -- Work may be moved between accounts of one pool (opt-in: a provider's terms are the operator's call).
    ADD pool text CHECK (pool ~ '^[a-z0-9][a-z0-9_.-]{0,63}$'),
    ADD retired_at timestamptz;
GRANT UPDATE (provider, models, pool, retired_at) ON fleet.subscriptions TO fleet_app;

-- Series -------------------------------------------------------------------------------------

ALTER TABLE fleet.budget_series
    ADD succession text NOT NULL DEFAULT 'open' CHECK (succession IN ('open', 'every', 'after_first_use', 'rule')),
    -- An RFC 5545 rule, its first reading on the wall clock, and the clock's zone.
    ADD rule text CHECK (length(rule) <= 500),
    ADD rule_first text CHECK (length(rule_first) <= 32),
    ADD rule_zone text CHECK (length(rule_zone) <= 64),
    ADD paced boolean NOT NULL DEFAULT true,
    ADD burst_bp integer NOT NULL DEFAULT 500 CHECK (burst_bp BETWEEN 0 AND 10000),
    -- Whether an unknown state refuses, instead of admitting one task at a time.
    ADD strict boolean NOT NULL DEFAULT false,
    -- A reading older than this is not relied on.
    ADD stale_seconds bigint NOT NULL DEFAULT 21600 CHECK (stale_seconds > 0),
    -- The provider closed it until then, whatever the ledger says.
    ADD closed_until timestamptz,
    ADD closed_reason text CHECK (length(closed_reason) <= 2000),
    ADD CHECK (succession <> 'rule' OR (rule IS NOT NULL AND rule_first IS NOT NULL AND rule_zone IS NOT NULL)),
    ADD CHECK (succession NOT IN ('every', 'after_first_use') OR every_seconds IS NOT NULL);
GRANT UPDATE (succession, rule, rule_first, rule_zone, paced, burst_bp, strict, stale_seconds, closed_until, closed_reason,
              model, meter) ON fleet.budget_series TO fleet_app;
CREATE INDEX budget_windows_of_series ON fleet.budget_windows (tenant_id, series_id, starts_at DESC);

-- Raises of a limit for a time; the limit in force is the series' own and all of them that hold.
CREATE TABLE fleet.budget_lifts (
    tenant_id text NOT NULL,
    series_id uuid NOT NULL,
    id uuid NOT NULL,
    amount bigint NOT NULL CHECK (amount >= 0),
    no_pacing boolean NOT NULL,
    starts_at timestamptz NOT NULL,
    until timestamptz NOT NULL,
    reason text CHECK (length(reason) <= 2000),
    set_by text NOT NULL,
    admission uuid NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, series_id) REFERENCES fleet.budget_series (tenant_id, id),
    CHECK (starts_at < until)
);
CREATE INDEX budget_lifts_of_series ON fleet.budget_lifts (tenant_id, series_id, until);
CALL fleet.protect('fleet.budget_lifts');
GRANT SELECT, INSERT, UPDATE (until) ON fleet.budget_lifts TO fleet_app;

-- Levels a provider told of a series, in basis points of its limit. A later one may be lower.
CREATE TABLE fleet.budget_readings (
    tenant_id text NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    series_id uuid NOT NULL,
    used_bp integer NOT NULL CHECK (used_bp BETWEEN 0 AND 10000),
    read_at timestamptz NOT NULL,
    -- Tokens our ledger had committed for the account in all when it was read.
    ledger_tokens bigint NOT NULL CHECK (ledger_tokens >= 0),
    source text NOT NULL CHECK (source IN ('user-entered', 'provider-detected')),
    by text NOT NULL,
    admission uuid NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, series_id) REFERENCES fleet.budget_series (tenant_id, id)
);
CREATE INDEX budget_readings_of_series ON fleet.budget_readings (tenant_id, series_id, read_at DESC);
CALL fleet.protect('fleet.budget_readings');
GRANT SELECT, INSERT ON fleet.budget_readings TO fleet_app;

-- Prices that override the ones the product ships with; the newest of a model counts.
CREATE TABLE fleet.prices (
    tenant_id text NOT NULL REFERENCES fleet.tenants,
    id bigint GENERATED ALWAYS AS IDENTITY,
    model text NOT NULL CHECK (model ~ '^[a-z0-9][a-z0-9_.-]{0,63}$'),
    -- Millionths of a US dollar for a million tokens.
    input bigint NOT NULL CHECK (input >= 0),
    output bigint NOT NULL CHECK (output >= 0),
    cache_write bigint NOT NULL CHECK (cache_write >= 0),
    cache_read bigint NOT NULL CHECK (cache_read >= 0),
    source text NOT NULL CHECK (length(source) BETWEEN 1 AND 2000),
    set_by text NOT NULL,
    set_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX prices_of_model ON fleet.prices (tenant_id, model, id DESC);
CALL fleet.protect('fleet.prices');
GRANT SELECT, INSERT ON fleet.prices TO fleet_app;

-- Work ---------------------------------------------------------------------------------------

ALTER TABLE fleet.tasks
    -- The model asked for, and whether another may do.
    ADD model text CHECK (model ~ '^[a-z0-9][a-z0-9_.-]{0,63}$'),
    ADD model_pinned boolean NOT NULL DEFAULT false,
    -- Pacing that would make it wait longer than this may lower its model instead.
    ADD max_wait_seconds integer NOT NULL DEFAULT 1800 CHECK (max_wait_seconds >= 0),
    -- Who said that it starts past pacing and queue.
    ADD start_now_by text;
GRANT UPDATE (model, start_now_by) ON fleet.tasks TO fleet_app;

ALTER TABLE fleet.attempts
    -- What it runs on, as the admission decided.
    ADD subscription text,
    ADD model text,
    -- A refused top-up: one bounded turn is left to hand the work back.
    ADD handing_back boolean NOT NULL DEFAULT false;
GRANT UPDATE (subscription, model, handing_back) ON fleet.attempts TO fleet_app;

-- Model ladder, highest first; without rows the product's own counts.
ALTER TABLE fleet.settings ADD model_ladder text[];
GRANT UPDATE (model_ladder) ON fleet.settings TO fleet_app;
ALTER TABLE fleet.settings ADD budget_hint_given boolean NOT NULL DEFAULT false;
GRANT UPDATE (budget_hint_given, workers_fleet, workers_role) ON fleet.settings TO fleet_app;

-- The ledger ---------------------------------------------------------------------------------

ALTER TABLE fleet.holds
    -- What the attempt was expected to need in the series' unit.
    ADD p50 bigint NOT NULL DEFAULT 0 CHECK (p50 >= 0),
    ADD p80 bigint NOT NULL DEFAULT 0 CHECK (p80 >= 0),
    ADD p95 bigint NOT NULL DEFAULT 0 CHECK (p95 >= 0),
    -- The most one report of work like this added, where that was learned.
    ADD most_per_report bigint CHECK (most_per_report >= 0),
    -- Its attempt is over.
    ADD ended_at timestamptz;
CREATE INDEX holds_open ON fleet.holds (tenant_id, series_id) INCLUDE (granted, remaining, p50, p80) WHERE ended_at IS NULL;

ALTER TABLE fleet.spend_reports
    -- Totals of units other than tokens and billed money, and what this report added to them.
    ADD others jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(others) = 'object'),
    ADD added_others jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(added_others) = 'object');

DROP FUNCTION fleet.ledger_append(text, uuid, uuid, integer, bigint, bigint, bigint, timestamptz, timestamptz,
    uuid, uuid, boolean, boolean, text);

-- The ledger's only writer: appends rows and moves the totals of their series, of the windows that
-- contain their instants, and of their holds, in the caller's transaction and in five statements however
-- many rows there are. The caller has locked the series and made the windows. A row is
-- {kind, series, task, attempt, committed, held, presumed, at, report, late, estimated, reason, p50, p80, p95, most}.
CREATE FUNCTION fleet.ledger_append(p_rows jsonb, p_now timestamptz, p_admission uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_tenant text := current_setting('fleet.tenant');
    v_odd record;
BEGIN
    INSERT INTO fleet.holds (tenant_id, id, series_id, task_id, attempt, granted, remaining, opened_at, p50, p80, p95, most_per_report)
        SELECT v_tenant, gen_random_uuid(), r.series, r.task, r.attempt, 0, 0, p_now, r.p50, r.p80, r.p95, r.most
        FROM jsonb_to_recordset(p_rows) AS r (kind text, series uuid, task uuid, attempt integer, p50 bigint, p80 bigint, p95 bigint, most bigint)
        WHERE r.kind = 'hold';
    UPDATE fleet.holds h SET granted = h.granted + m.granted, remaining = h.remaining + m.held,
            presumed = h.presumed + m.presumed, presumed_at = coalesce(m.presumed_at, h.presumed_at)
        FROM (SELECT r.series, r.task, r.attempt, sum(CASE WHEN r.kind IN ('hold', 'top_up') THEN r.held ELSE 0 END) AS granted,
                  sum(r.held) AS held, sum(r.presumed) AS presumed, max(r.at) FILTER (WHERE r.kind = 'presume') AS presumed_at
              FROM jsonb_to_recordset(p_rows) AS r (kind text, series uuid, task uuid, attempt integer, held bigint, presumed bigint, at timestamptz)
              GROUP BY r.series, r.task, r.attempt) m
        WHERE h.tenant_id = v_tenant AND h.series_id = m.series AND h.task_id = m.task AND h.attempt = m.attempt
          AND (m.held <> 0 OR m.presumed <> 0);
    INSERT INTO fleet.ledger (tenant_id, kind, series_id, hold_id, task_id, attempt, epoch, incarnation, subscription,
                              model, report_id, committed, held, presumed, at, late, estimated, reason, recorded_at, admission)
        SELECT v_tenant, r.kind, r.series, h.id, r.task, r.attempt, a.epoch, a.incarnation, s.subscription,
               coalesce(nullif(p.model, ''), a.model), r.report, r.committed, r.held, r.presumed, r.at, coalesce(r.late, false),
               coalesce(r.estimated, false), r.reason, p_now, p_admission
        FROM ROWS FROM (jsonb_to_recordset(p_rows) AS (kind text, series uuid, task uuid, attempt integer, committed bigint,
                 held bigint, presumed bigint, at timestamptz, report uuid, late boolean, estimated boolean, reason text))
             WITH ORDINALITY AS r (kind, series, task, attempt, committed, held, presumed, at, report, late, estimated, reason, place)
        JOIN fleet.budget_series s ON s.tenant_id = v_tenant AND s.id = r.series
        LEFT JOIN fleet.holds h ON h.tenant_id = v_tenant AND h.series_id = r.series AND h.task_id = r.task AND h.attempt = r.attempt
        LEFT JOIN fleet.attempts a ON a.tenant_id = v_tenant AND a.task_id = r.task AND a.attempt = r.attempt
        LEFT JOIN fleet.spend_reports p ON p.tenant_id = v_tenant AND p.id = r.report
        ORDER BY r.place;
    SELECT r.series, r.task, r.attempt INTO v_odd
        FROM jsonb_to_recordset(p_rows) AS r (series uuid, task uuid, attempt integer, held bigint, presumed bigint)
        WHERE (r.held <> 0 OR r.presumed <> 0) AND NOT EXISTS (
            SELECT FROM fleet.holds h WHERE h.tenant_id = v_tenant AND h.series_id = r.series AND h.task_id = r.task AND h.attempt = r.attempt)
        LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'attempt % of task % holds nothing in series %', v_odd.attempt, v_odd.task, v_odd.series;
    END IF;
    UPDATE fleet.budget_series s SET held = s.held + m.held
        FROM (SELECT r.series, sum(r.held) AS held FROM jsonb_to_recordset(p_rows) AS r (series uuid, held bigint) GROUP BY r.series) m
        WHERE s.tenant_id = v_tenant AND s.id = m.series AND m.held <> 0;
    UPDATE fleet.budget_windows w SET committed = w.committed + m.committed, presumed = w.presumed + m.presumed
        FROM (SELECT v.id, sum(r.committed) AS committed, sum(r.presumed) AS presumed
              FROM jsonb_to_recordset(p_rows) AS r (series uuid, committed bigint, presumed bigint, at timestamptz)
              CROSS JOIN LATERAL (SELECT x.id, x.resets_at FROM fleet.budget_windows x
                  WHERE x.tenant_id = v_tenant AND x.series_id = r.series AND x.starts_at <= r.at
                  ORDER BY x.starts_at DESC LIMIT 1) v
              WHERE (r.committed <> 0 OR r.presumed <> 0) AND (v.resets_at IS NULL OR r.at < v.resets_at)
              GROUP BY v.id) m
        WHERE w.tenant_id = v_tenant AND w.id = m.id;
END
$$;
REVOKE ALL ON FUNCTION fleet.ledger_append(jsonb, timestamptz, uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fleet.ledger_append(jsonb, timestamptz, uuid) TO fleet_app;

-- The attempt is over: its holds no longer count as running work.
CREATE FUNCTION fleet.holds_end(p_task uuid, p_attempt integer, p_now timestamptz) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    UPDATE fleet.holds SET ended_at = p_now
    WHERE tenant_id = current_setting('fleet.tenant') AND task_id = p_task AND attempt = p_attempt AND ended_at IS NULL
$$;
REVOKE ALL ON FUNCTION fleet.holds_end(uuid, integer, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fleet.holds_end(uuid, integer, timestamptz) TO fleet_app;

-- Decisions, queue, learning -----------------------------------------------------------------

-- What was decided of a task, with all that it was decided on.
CREATE TABLE fleet.budget_decisions (
    tenant_id text NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    task_id uuid NOT NULL,
    attempt integer,
    decided_at timestamptz NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('ungoverned', 'admitted', 'downgraded', 'queued', 'refused', 'topped_up',
                                             'handed_back', 'start_now')),
    subscription text,
    model text,
    reason text,
    -- What binds it.
    series text,
    eta timestamptz,
    inputs jsonb NOT NULL CHECK (jsonb_typeof(inputs) = 'object'),
    by text NOT NULL,
    admission uuid NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, task_id) REFERENCES fleet.tasks (tenant_id, id)
);
CREATE INDEX budget_decisions_of_task ON fleet.budget_decisions (tenant_id, task_id, id DESC);
CALL fleet.protect('fleet.budget_decisions');
GRANT SELECT, INSERT ON fleet.budget_decisions TO fleet_app;

-- Tasks that wait for budget. The claim that waits with one dies with its agent's incarnation.
CREATE TABLE fleet.budget_queue (
    tenant_id text NOT NULL,
    task_id uuid NOT NULL,
    queued_at timestamptz NOT NULL,
    agent_id uuid,
    incarnation bigint,
    -- A person whose claim waits.
    person text,
    reason text NOT NULL,
    series_id uuid,
    -- What it would hold and is expected to spend in that series.
    need bigint NOT NULL CHECK (need >= 0),
    p50 bigint NOT NULL CHECK (p50 >= 0),
    eta timestamptz,
    -- When it is looked at again: at once after a change, else at the ETA.
    look_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, task_id),
    FOREIGN KEY (tenant_id, task_id) REFERENCES fleet.tasks (tenant_id, id),
    FOREIGN KEY (tenant_id, agent_id) REFERENCES fleet.agents (tenant_id, id),
    FOREIGN KEY (tenant_id, series_id) REFERENCES fleet.budget_series (tenant_id, id),
    CHECK ((agent_id IS NULL) = (incarnation IS NULL)),
    CHECK (agent_id IS NULL OR person IS NULL)
);
CREATE INDEX budget_queue_due ON fleet.budget_queue (look_at);
CALL fleet.protect('fleet.budget_queue');
GRANT SELECT, INSERT, DELETE, UPDATE ON fleet.budget_queue TO fleet_app;

-- Tenants in whose queue something is due. The caller looks again under the tenant's lock.
CREATE FUNCTION fleet.due_queues(p_now timestamptz, p_limit integer) RETURNS TABLE (tenant_id text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT DISTINCT q.tenant_id FROM fleet.budget_queue q WHERE q.look_at <= p_now LIMIT p_limit
$$;
REVOKE ALL ON FUNCTION fleet.due_queues(timestamptz, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fleet.due_queues(timestamptz, integer) TO fleet_app;

-- What tasks came to, per unit, oldest first: the samples of learning.
CREATE TABLE fleet.task_actuals (
    tenant_id text NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    task_id uuid NOT NULL,
    task_type text NOT NULL,
    role text NOT NULL,
    model text NOT NULL DEFAULT '',
    unit text NOT NULL,
    actual bigint NOT NULL CHECK (actual >= 0),
    -- What was expected when it was first admitted, and granted in all; none where nothing governed it.
    p95 bigint CHECK (p95 >= 0),
    granted bigint CHECK (granted >= 0),
    -- The most one report added.
    most_per_report bigint CHECK (most_per_report >= 0),
    -- Cut short by budget or death: it needs at least this much.
    censored boolean NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, task_id) REFERENCES fleet.tasks (tenant_id, id)
);
CREATE INDEX task_actuals_of_group ON fleet.task_actuals (tenant_id, task_type, unit, role, model, id DESC)
    INCLUDE (actual, most_per_report);
CREATE INDEX task_actuals_of_type ON fleet.task_actuals (tenant_id, task_type, unit, id DESC) INCLUDE (actual, most_per_report);
CALL fleet.protect('fleet.task_actuals');
GRANT SELECT, INSERT ON fleet.task_actuals TO fleet_app;

-- Incidents ----------------------------------------------------------------------------------

ALTER TABLE fleet.incidents
    ADD number integer CHECK (number > 0),
    ADD acknowledged_at timestamptz,
    ADD acknowledged_by text,
    ADD UNIQUE (tenant_id, number),
    ADD CHECK ((acknowledged_at IS NULL) = (acknowledged_by IS NULL));
GRANT UPDATE (acknowledged_at, acknowledged_by) ON fleet.incidents TO fleet_app;

-- One open alert per series and rule.
ALTER TABLE fleet.budget_alerts
    DROP CONSTRAINT budget_alerts_pkey,
    DROP CONSTRAINT budget_alerts_level_check,
    ADD rule text NOT NULL DEFAULT 'budget.threshold',
    ADD PRIMARY KEY (tenant_id, series_id, rule);

CREATE OR REPLACE FUNCTION fleet.tenant_added() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    kind text;
BEGIN
    FOREACH kind IN ARRAY ARRAY['task', 'mission', 'proposal', 'incident'] LOOP
        EXECUTE format('CREATE SEQUENCE fleet.number_%s_%s AS integer', NEW.ordinal, kind);
        EXECUTE format('GRANT USAGE ON SEQUENCE fleet.number_%s_%s TO fleet_app', NEW.ordinal, kind);
    END LOOP;
    INSERT INTO fleet.settings (tenant_id) VALUES (NEW.tenant_id);
    RETURN NULL;
END
$$;

CREATE FUNCTION fleet.incident_numbered() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    NEW.number := fleet.next_number((SELECT t.ordinal FROM fleet.tenants t WHERE t.tenant_id = NEW.tenant_id), 'incident');
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION fleet.incident_numbered() FROM PUBLIC;

-- What is there already. A row may be written only within its tenant.
DO $$
DECLARE
    t record;
BEGIN
    FOR t IN SELECT tenant_id, ordinal FROM fleet.tenants LOOP
        PERFORM set_config('fleet.tenant', t.tenant_id, true);
        EXECUTE format('CREATE SEQUENCE fleet.number_%s_incident AS integer', t.ordinal);
        EXECUTE format('GRANT USAGE ON SEQUENCE fleet.number_%s_incident TO fleet_app', t.ordinal);
        UPDATE fleet.incidents SET number = fleet.next_number(t.ordinal, 'incident') WHERE tenant_id = t.tenant_id;
        UPDATE fleet.budget_series SET succession = 'every' WHERE tenant_id = t.tenant_id AND every_seconds IS NOT NULL;
        UPDATE fleet.holds SET p50 = granted, p80 = granted, p95 = granted WHERE tenant_id = t.tenant_id;
        UPDATE fleet.holds h SET ended_at = h.opened_at WHERE h.tenant_id = t.tenant_id AND NOT EXISTS (
            SELECT FROM fleet.attempts a WHERE a.tenant_id = h.tenant_id AND a.task_id = h.task_id AND a.attempt = h.attempt
                AND a.ended_at IS NULL);
    END LOOP;
    PERFORM set_config('fleet.tenant', '', true);
END
$$;
CREATE TRIGGER incident_numbered BEFORE INSERT ON fleet.incidents FOR EACH ROW EXECUTE FUNCTION fleet.incident_numbered();
