-- What a lost attempt may have spent unseen, and a queue that is woken by one row.

-- Queue --------------------------------------------------------------------------------------

-- Something changed that may let a waiting task start. Appended and never updated, so that two releases
-- never wait for each other, however many tasks wait.
CREATE TABLE fleet.budget_nudges (
    tenant_id text NOT NULL REFERENCES fleet.tenants,
    id bigint GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CALL fleet.protect('fleet.budget_nudges');
GRANT SELECT, INSERT, DELETE ON fleet.budget_nudges TO fleet_app;

-- Tenants in whose queue something is due. The caller looks again under the tenant's lock.
CREATE OR REPLACE FUNCTION fleet.due_queues(p_now timestamptz, p_limit integer) RETURNS TABLE (tenant_id text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT q.tenant_id FROM fleet.budget_queue q WHERE q.look_at <= p_now
    UNION
    SELECT n.tenant_id FROM fleet.budget_nudges n WHERE n.at <= p_now
    LIMIT p_limit
$$;

-- Lost attempts ------------------------------------------------------------------------------

ALTER TABLE fleet.holds
    -- Its attempt ended without its word: beyond what is presumed it may have spent what one report adds.
    -- None again once it is reported or settled.
    ADD lost_at timestamptz,
    -- None for a guess: no calibration rests on one.
    ALTER p95 DROP NOT NULL,
    ALTER p95 DROP DEFAULT;
CREATE INDEX holds_lost ON fleet.holds (tenant_id, series_id) INCLUDE (lost_at, presumed, most_per_report) WHERE lost_at IS NOT NULL;

DROP FUNCTION fleet.holds_end(uuid, integer, timestamptz);

-- The attempt is over: its holds no longer count as running work. Lost: it ended without its word.
CREATE FUNCTION fleet.holds_end(p_task uuid, p_attempt integer, p_now timestamptz, p_lost boolean) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    UPDATE fleet.holds SET ended_at = p_now, lost_at = CASE WHEN p_lost THEN p_now END
    WHERE tenant_id = current_setting('fleet.tenant') AND task_id = p_task AND attempt = p_attempt AND ended_at IS NULL
$$;
REVOKE ALL ON FUNCTION fleet.holds_end(uuid, integer, timestamptz, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fleet.holds_end(uuid, integer, timestamptz, boolean) TO fleet_app;

-- The ledger's only writer: appends rows and moves the totals of their series, of the windows that
-- contain their instants, and of their holds, in the caller's transaction and in a fixed number of statements
-- however many rows there are. A lost attempt that is reported or settled is lost no more. The caller
-- has locked the series and made the windows. A row is
-- {kind, series, task, attempt, committed, held, presumed, at, report, late, estimated, reason, p50, p80, p95, most}.
CREATE OR REPLACE FUNCTION fleet.ledger_append(p_rows jsonb, p_now timestamptz, p_admission uuid) RETURNS void
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
            presumed = h.presumed + m.presumed, presumed_at = coalesce(m.presumed_at, h.presumed_at),
            lost_at = CASE WHEN m.is_told THEN NULL ELSE h.lost_at END
        FROM (SELECT r.series, r.task, r.attempt, sum(CASE WHEN r.kind IN ('hold', 'top_up') THEN r.held ELSE 0 END) AS granted,
                  sum(r.held) AS held, sum(r.presumed) AS presumed, max(r.at) FILTER (WHERE r.kind = 'presume') AS presumed_at,
                  bool_or(r.kind IN ('commit', 'settle')) AS is_told
              FROM jsonb_to_recordset(p_rows) AS r (kind text, series uuid, task uuid, attempt integer, held bigint, presumed bigint, at timestamptz)
              GROUP BY r.series, r.task, r.attempt) m
        WHERE h.tenant_id = v_tenant AND h.series_id = m.series AND h.task_id = m.task AND h.attempt = m.attempt
          AND (m.held <> 0 OR m.presumed <> 0 OR (m.is_told AND h.lost_at IS NOT NULL));
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
