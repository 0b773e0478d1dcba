-- What every admission and every report touches, made cheap: rows that are updated in place, and one reading of what is
-- appended.

-- A row updated in place needs room on its page, and no index over what is updated.
ALTER TABLE fleet.budget_series SET (fillfactor = 50);
ALTER TABLE fleet.budget_windows SET (fillfactor = 50);
ALTER TABLE fleet.holds SET (fillfactor = 70);
ALTER TABLE fleet.settings SET (fillfactor = 50);
ALTER TABLE fleet.agents SET (fillfactor = 50);
DROP INDEX fleet.holds_open;
CREATE INDEX holds_open ON fleet.holds (tenant_id, series_id) WHERE ended_at IS NULL;

-- What was spent in a stretch of time, without the holds that came and went in it.
CREATE INDEX ledger_spent ON fleet.ledger (tenant_id, series_id, at) INCLUDE (committed, presumed)
    WHERE committed <> 0 OR presumed <> 0;

-- What an attempt does not hold can be neither used up nor presumed.
ALTER TABLE fleet.ledger ADD CHECK (hold_id IS NOT NULL OR (held = 0 AND presumed = 0));

-- A row to append, as the gateway writes it.
CREATE TYPE fleet.movement AS (
    kind text, series uuid, task uuid, attempt integer, committed bigint, held bigint, presumed bigint, at timestamptz, report uuid,
    late boolean, estimated boolean, reason text, p50 bigint, p80 bigint, p95 bigint, most bigint, admission uuid
);

DROP FUNCTION fleet.ledger_append(jsonb, timestamptz, uuid);

-- The ledger's only writer: appends rows and moves the totals of their series, of the windows that contain their instants,
-- and of their holds, in the caller's transaction and in five statements however many rows there are. A lost attempt that
-- is reported or settled is lost no more. The caller has locked the series and made the windows. Each row names the
-- admission that causes it, so that those of several admissions are appended together.
CREATE FUNCTION fleet.ledger_append(p_rows jsonb, p_now timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_tenant text := current_setting('fleet.tenant');
    -- Read once. How many there are a planner guesses low, so that it looks for them by their keys.
    v_rows fleet.movement[] := ARRAY(SELECT r FROM jsonb_populate_recordset(NULL::fleet.movement, p_rows) AS r);
BEGIN
    INSERT INTO fleet.holds (tenant_id, id, series_id, task_id, attempt, granted, remaining, opened_at, p50, p80, p95, most_per_report)
        SELECT v_tenant, gen_random_uuid(), r.series, r.task, r.attempt, r.held, r.held, p_now, r.p50, r.p80, r.p95, r.most
        FROM unnest(v_rows) AS r WHERE r.kind = 'hold';
    UPDATE fleet.holds h SET granted = h.granted + m.granted, remaining = h.remaining + m.held,
            presumed = h.presumed + m.presumed, presumed_at = coalesce(m.presumed_at, h.presumed_at),
            lost_at = CASE WHEN m.is_told THEN NULL ELSE h.lost_at END
        FROM (SELECT r.series, r.task, r.attempt, sum(CASE WHEN r.kind = 'top_up' THEN r.held ELSE 0 END) AS granted,
                  sum(r.held) AS held, sum(r.presumed) AS presumed, max(r.at) FILTER (WHERE r.kind = 'presume') AS presumed_at,
                  bool_or(r.kind IN ('commit', 'settle')) AS is_told
              FROM unnest(v_rows) AS r WHERE r.kind <> 'hold' GROUP BY r.series, r.task, r.attempt) m
        WHERE h.tenant_id = v_tenant AND h.series_id = m.series AND h.task_id = m.task AND h.attempt = m.attempt
          AND (m.held <> 0 OR m.presumed <> 0 OR (m.is_told AND h.lost_at IS NOT NULL));
    INSERT INTO fleet.ledger (tenant_id, kind, series_id, hold_id, task_id, attempt, epoch, incarnation, subscription,
                              model, report_id, committed, held, presumed, at, late, estimated, reason, recorded_at, admission)
        SELECT v_tenant, r.kind, r.series, h.id, r.task, r.attempt, a.epoch, a.incarnation, s.subscription,
               coalesce(nullif(p.model, ''), a.model), r.report, r.committed, r.held, r.presumed, r.at, coalesce(r.late, false),
               coalesce(r.estimated, false), r.reason, p_now, r.admission
        FROM unnest(v_rows) WITH ORDINALITY AS r
        JOIN fleet.budget_series s ON s.tenant_id = v_tenant AND s.id = r.series
        LEFT JOIN fleet.holds h ON h.tenant_id = v_tenant AND h.series_id = r.series AND h.task_id = r.task AND h.attempt = r.attempt
        LEFT JOIN fleet.attempts a ON a.tenant_id = v_tenant AND a.task_id = r.task AND a.attempt = r.attempt
        LEFT JOIN fleet.spend_reports p ON p.tenant_id = v_tenant AND p.id = r.report
        ORDER BY r.ordinality;
    UPDATE fleet.budget_series s SET held = s.held + m.held
        FROM (SELECT r.series, sum(r.held) AS held FROM unnest(v_rows) AS r GROUP BY r.series) m
        WHERE s.tenant_id = v_tenant AND s.id = m.series AND m.held <> 0;
    UPDATE fleet.budget_windows w SET committed = w.committed + m.committed, presumed = w.presumed + m.presumed
        FROM (SELECT v.id, sum(r.committed) AS committed, sum(r.presumed) AS presumed
              FROM unnest(v_rows) AS r
              CROSS JOIN LATERAL (SELECT x.id, x.resets_at FROM fleet.budget_windows x
                  WHERE x.tenant_id = v_tenant AND x.series_id = r.series AND x.starts_at <= r.at
                  ORDER BY x.starts_at DESC LIMIT 1) v
              WHERE (r.committed <> 0 OR r.presumed <> 0) AND (v.resets_at IS NULL OR r.at < v.resets_at)
              GROUP BY v.id) m
        WHERE w.tenant_id = v_tenant AND w.id = m.id;
END
$$;
REVOKE ALL ON FUNCTION fleet.ledger_append(jsonb, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fleet.ledger_append(jsonb, timestamptz) TO fleet_app;
