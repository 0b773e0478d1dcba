-- Budgets: accounts that pay, limits as series of windows, and the ledger of what was spent.
--
-- Totals are derived: a window's are the sums of the ledger's rows whose instant lies in it, kept
-- beside it by the one function that writes the ledger. No job zeroes a counter.

-- Trusted since PostgreSQL 13: the owner of the database may create it.
CREATE EXTENSION IF NOT EXISTS btree_gist WITH SCHEMA public;

-- Provider accounts. They appear with the first limit, task or report that names them.
CREATE TABLE fleet.subscriptions (
    tenant_id text NOT NULL REFERENCES fleet.tenants,
    name text NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9_.-]{0,63}$'),
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, name)
);
CALL fleet.protect('fleet.subscriptions');
GRANT SELECT, INSERT ON fleet.subscriptions TO fleet_app;

CREATE TABLE fleet.budget_series (
    tenant_id text NOT NULL REFERENCES fleet.tenants,
    id uuid NOT NULL,
    scope text NOT NULL CHECK (scope IN ('subscription', 'role', 'agent', 'mission', 'project')),
    scope_key text NOT NULL CHECK (char_length(scope_key) BETWEEN 1 AND 128),
    name text NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9_.-]{0,63}$'),
    unit text NOT NULL CHECK (unit IN ('tokens', 'messages', 'cash_usd_micro', 'api_equivalent_usd_micro',
                                       'credits', 'compute_seconds', 'basis_points')),
    -- Only spend of this model counts; none counts all.
    model text,
    -- `ledger`: every spend is known. `reading`: the provider tells a level.
    meter text NOT NULL DEFAULT 'ledger' CHECK (meter IN ('ledger', 'reading')),
    -- Length of the windows that follow; none leaves the next one without an end.
    every_seconds bigint CHECK (every_seconds > 0),
    -- The limit in force; how it came about is in fleet.budget_limits.
    limit_amount bigint NOT NULL CHECK (limit_amount >= 0),
    alert_at smallint NOT NULL DEFAULT 95 CHECK (alert_at BETWEEN 0 AND 100),
    source text NOT NULL CHECK (source IN ('user-entered', 'provider-detected', 'estimated', 'unknown')),
    last_checked_at timestamptz NOT NULL,
    -- Held by running tasks: belongs to the series, whichever window is present.
    held bigint NOT NULL DEFAULT 0 CHECK (held >= 0),
    created_at timestamptz NOT NULL,
    subscription text GENERATED ALWAYS AS (CASE WHEN scope = 'subscription' THEN scope_key END) STORED,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, scope, scope_key, name),
    FOREIGN KEY (tenant_id, subscription) REFERENCES fleet.subscriptions (tenant_id, name)
);
CALL fleet.protect('fleet.budget_series');
GRANT SELECT, INSERT, UPDATE (every_seconds, limit_amount, alert_at, source, last_checked_at)
    ON fleet.budget_series TO fleet_app;

-- Every limit a series had, from when on, and who set it.
CREATE TABLE fleet.budget_limits (
    tenant_id text NOT NULL,
    series_id uuid NOT NULL,
    id uuid NOT NULL,
    limit_amount bigint NOT NULL CHECK (limit_amount >= 0),
    effective_from timestamptz NOT NULL,
    set_by text NOT NULL,
    admission uuid NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, series_id) REFERENCES fleet.budget_series (tenant_id, id)
);
CREATE INDEX budget_limits_of_series ON fleet.budget_limits (tenant_id, series_id, effective_from);
CALL fleet.protect('fleet.budget_limits');
GRANT SELECT, INSERT ON fleet.budget_limits TO fleet_app;

CREATE TABLE fleet.budget_windows (
    tenant_id text NOT NULL,
    id uuid NOT NULL,
    series_id uuid NOT NULL,
    starts_at timestamptz NOT NULL,
    -- None: a cap without an end.
    resets_at timestamptz,
    period tstzrange GENERATED ALWAYS AS (tstzrange(starts_at, resets_at, '[)')) STORED,
    committed bigint NOT NULL DEFAULT 0 CHECK (committed >= 0),
    presumed bigint NOT NULL DEFAULT 0 CHECK (presumed >= 0),
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, series_id) REFERENCES fleet.budget_series (tenant_id, id),
    CHECK (starts_at < resets_at),
    CONSTRAINT budget_windows_disjoint
        EXCLUDE USING gist (tenant_id WITH =, series_id WITH =, period WITH &&)
);
CALL fleet.protect('fleet.budget_windows');
-- A window's totals are written by the ledger's function only.
GRANT SELECT, INSERT (tenant_id, id, series_id, starts_at, resets_at), UPDATE (resets_at)
    ON fleet.budget_windows TO fleet_app;

-- What meters said, as they said it: cumulative totals within (task, attempt, session, model).
CREATE TABLE fleet.spend_reports (
    tenant_id text NOT NULL,
    id uuid NOT NULL,
    task_id uuid NOT NULL,
    attempt integer NOT NULL CHECK (attempt >= 0),
    session text NOT NULL DEFAULT '',
    model text NOT NULL DEFAULT '',
    subscription text,
    input_tokens bigint NOT NULL CHECK (input_tokens >= 0),
    output_tokens bigint NOT NULL CHECK (output_tokens >= 0),
    cache_write_tokens bigint NOT NULL CHECK (cache_write_tokens >= 0),
    cache_read_tokens bigint NOT NULL CHECK (cache_read_tokens >= 0),
    cash_usd_micro bigint NOT NULL CHECK (cash_usd_micro >= 0),
    -- Tokens as limits count them, in all of this meter.
    tokens bigint NOT NULL CHECK (tokens >= 0),
    -- What this report added to what was known.
    added_tokens bigint NOT NULL CHECK (added_tokens >= 0),
    added_cash_usd_micro bigint NOT NULL CHECK (added_cash_usd_micro >= 0),
    -- Metered time, within [grant, receipt].
    spent_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    -- After the lease had ended, or under another epoch.
    late boolean NOT NULL,
    -- Charged without a meter's word: the rest of a grant, or an agent's last figure.
    estimated boolean NOT NULL DEFAULT false,
    by text NOT NULL,
    admission uuid NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, task_id) REFERENCES fleet.tasks (tenant_id, id),
    FOREIGN KEY (tenant_id, subscription) REFERENCES fleet.subscriptions (tenant_id, name)
);
CREATE INDEX spend_reports_of_meter ON fleet.spend_reports (tenant_id, task_id, attempt, session, model);
CREATE INDEX spend_reports_of_subscription ON fleet.spend_reports (tenant_id, subscription, spent_at);
CALL fleet.protect('fleet.spend_reports');
GRANT SELECT, INSERT ON fleet.spend_reports TO fleet_app;

-- What an attempt may still spend, per series; the ledger's function keeps it.
CREATE TABLE fleet.holds (
    tenant_id text NOT NULL,
    id uuid NOT NULL,
    series_id uuid NOT NULL,
    task_id uuid NOT NULL,
    attempt integer NOT NULL CHECK (attempt >= 1),
    granted bigint NOT NULL CHECK (granted >= 0),
    -- Granted, and neither reported nor handed back.
    remaining bigint NOT NULL CHECK (remaining >= 0),
    -- Presumed spent, and not yet replaced by a report; in the window of `presumed_at`.
    presumed bigint NOT NULL DEFAULT 0 CHECK (presumed >= 0),
    presumed_at timestamptz,
    opened_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, series_id, task_id, attempt),
    FOREIGN KEY (tenant_id, series_id) REFERENCES fleet.budget_series (tenant_id, id),
    FOREIGN KEY (tenant_id, task_id) REFERENCES fleet.tasks (tenant_id, id),
    CHECK (presumed = 0 OR presumed_at IS NOT NULL)
);
CREATE INDEX holds_of_attempt ON fleet.holds (tenant_id, task_id, attempt);
CALL fleet.protect('fleet.holds');
GRANT SELECT ON fleet.holds TO fleet_app;

-- Append-only. Each row is a movement; sums of movements are the totals.
CREATE TABLE fleet.ledger (
    tenant_id text NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    kind text NOT NULL CHECK (kind IN ('hold', 'top_up', 'commit', 'release', 'presume', 'settle', 'adjust')),
    series_id uuid NOT NULL,
    hold_id uuid,
    task_id uuid,
    attempt integer,
    epoch bigint,
    incarnation bigint,
    subscription text,
    model text,
    report_id uuid,
    -- Spent; belongs to the window containing `at`.
    committed bigint NOT NULL DEFAULT 0,
    -- Held; belongs to the series.
    held bigint NOT NULL DEFAULT 0,
    -- Presumed spent; belongs to the window containing `at`.
    presumed bigint NOT NULL DEFAULT 0,
    at timestamptz NOT NULL,
    late boolean NOT NULL DEFAULT false,
    estimated boolean NOT NULL DEFAULT false,
    reason text,
    recorded_at timestamptz NOT NULL,
    -- The request that caused it: the admission's id.
    admission uuid NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, series_id) REFERENCES fleet.budget_series (tenant_id, id),
    FOREIGN KEY (tenant_id, hold_id) REFERENCES fleet.holds (tenant_id, id),
    FOREIGN KEY (tenant_id, task_id) REFERENCES fleet.tasks (tenant_id, id),
    FOREIGN KEY (tenant_id, report_id) REFERENCES fleet.spend_reports (tenant_id, id),
    CHECK (kind NOT IN ('hold', 'top_up') OR (held >= 0 AND committed = 0 AND presumed = 0)),
    CHECK (kind <> 'commit' OR (committed >= 0 AND held <= 0 AND presumed = 0)),
    CHECK (kind <> 'release' OR (held <= 0 AND committed = 0 AND presumed = 0)),
    CHECK (kind <> 'presume' OR (held = -presumed AND presumed >= 0 AND committed = 0)),
    CHECK (kind <> 'settle' OR presumed <= 0)
);
CREATE INDEX ledger_of_series ON fleet.ledger (tenant_id, series_id, at);
CREATE INDEX ledger_of_attempt ON fleet.ledger (tenant_id, task_id, attempt);
CALL fleet.protect('fleet.ledger');
GRANT SELECT ON fleet.ledger TO fleet_app;

-- The ledger's only writer: appends a row and moves the totals of the series, of the window that
-- contains the row's instant, and of the hold, in the caller's transaction. The caller has locked the
-- series and made the window.
CREATE FUNCTION fleet.ledger_append(
    p_kind text, p_series uuid, p_task uuid, p_attempt integer,
    p_committed bigint, p_held bigint, p_presumed bigint,
    p_at timestamptz, p_now timestamptz, p_admission uuid,
    p_report uuid DEFAULT NULL, p_late boolean DEFAULT false, p_estimated boolean DEFAULT false,
    p_reason text DEFAULT NULL
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_tenant text := current_setting('fleet.tenant');
    v_series fleet.budget_series;
    v_hold uuid;
    v_epoch bigint;
    v_incarnation bigint;
BEGIN
    SELECT * INTO STRICT v_series FROM fleet.budget_series s
        WHERE s.tenant_id = v_tenant AND s.id = p_series FOR UPDATE;
    IF p_kind = 'hold' THEN
        INSERT INTO fleet.holds (tenant_id, id, series_id, task_id, attempt, granted, remaining, opened_at)
            VALUES (v_tenant, gen_random_uuid(), p_series, p_task, p_attempt, p_held, p_held, p_now)
            RETURNING id INTO v_hold;
    ELSE
        UPDATE fleet.holds h SET
                granted = h.granted + CASE WHEN p_kind = 'top_up' THEN p_held ELSE 0 END,
                remaining = h.remaining + p_held,
                presumed = h.presumed + p_presumed,
                presumed_at = CASE WHEN p_kind = 'presume' THEN p_at ELSE h.presumed_at END
            WHERE h.tenant_id = v_tenant AND h.series_id = p_series AND h.task_id = p_task AND h.attempt = p_attempt
            RETURNING id INTO v_hold;
    END IF;
    IF v_hold IS NULL AND (p_held <> 0 OR p_presumed <> 0) THEN
        RAISE EXCEPTION 'attempt % of task % holds nothing in series %', p_attempt, p_task, p_series;
    END IF;
    SELECT a.epoch, a.incarnation INTO v_epoch, v_incarnation FROM fleet.attempts a
        WHERE a.tenant_id = v_tenant AND a.task_id = p_task AND a.attempt = p_attempt;
    INSERT INTO fleet.ledger (tenant_id, kind, series_id, hold_id, task_id, attempt, epoch, incarnation, subscription,
                              model, report_id, committed, held, presumed, at, late, estimated, reason, recorded_at, admission)
        VALUES (v_tenant, p_kind, p_series, v_hold, p_task, p_attempt, v_epoch, v_incarnation, v_series.subscription,
                (SELECT nullif(r.model, '') FROM fleet.spend_reports r WHERE r.tenant_id = v_tenant AND r.id = p_report),
                p_report, p_committed, p_held, p_presumed, p_at, p_late, p_estimated, p_reason, p_now, p_admission);
    UPDATE fleet.budget_series s SET held = s.held + p_held
        WHERE s.tenant_id = v_tenant AND s.id = p_series AND p_held <> 0;
    UPDATE fleet.budget_windows w SET committed = w.committed + p_committed, presumed = w.presumed + p_presumed
        WHERE w.tenant_id = v_tenant AND w.series_id = p_series AND w.period @> p_at
          AND (p_committed <> 0 OR p_presumed <> 0);
END
$$;
REVOKE ALL ON FUNCTION fleet.ledger_append(text, uuid, uuid, integer, bigint, bigint, bigint, timestamptz, timestamptz,
    uuid, uuid, boolean, boolean, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fleet.ledger_append(text, uuid, uuid, integer, bigint, bigint, bigint, timestamptz, timestamptz,
    uuid, uuid, boolean, boolean, text) TO fleet_app;

-- Derives the totals of a series' windows anew from the ledger's rows, after a window's end moved.
CREATE FUNCTION fleet.budget_recompute(p_series uuid) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    UPDATE fleet.budget_windows w SET (committed, presumed) = (
        SELECT coalesce(sum(l.committed), 0), coalesce(sum(l.presumed), 0) FROM fleet.ledger l
        WHERE l.tenant_id = w.tenant_id AND l.series_id = w.series_id AND w.period @> l.at)
    WHERE w.tenant_id = current_setting('fleet.tenant') AND w.series_id = p_series
$$;
REVOKE ALL ON FUNCTION fleet.budget_recompute(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fleet.budget_recompute(uuid) TO fleet_app;

-- How far the open incident of a series has come, so that one message is edited as it worsens.
CREATE TABLE fleet.budget_alerts (
    tenant_id text NOT NULL,
    series_id uuid NOT NULL,
    incident uuid NOT NULL,
    level text NOT NULL CHECK (level IN ('threshold', 'limit')),
    PRIMARY KEY (tenant_id, series_id),
    FOREIGN KEY (tenant_id, series_id) REFERENCES fleet.budget_series (tenant_id, id),
    FOREIGN KEY (tenant_id, incident) REFERENCES fleet.incidents (tenant_id, id)
);
CALL fleet.protect('fleet.budget_alerts');
GRANT SELECT, INSERT, DELETE, UPDATE (level) ON fleet.budget_alerts TO fleet_app;
