-- What time tells of budgets: meters that nobody reads any more, a look each day; and which meter said what.

-- Once a day per tenant, in its zone: the picture in the budget room, and the audit.
CREATE TABLE fleet.budget_days (
    tenant_id text NOT NULL PRIMARY KEY REFERENCES fleet.tenants,
    due_at timestamptz NOT NULL
);
CREATE INDEX budget_days_due ON fleet.budget_days (due_at);
CALL fleet.protect('fleet.budget_days');
GRANT SELECT, INSERT, UPDATE (due_at) ON fleet.budget_days TO fleet_app;

-- Tenants with limits whose day is due, or was never planned.
CREATE FUNCTION fleet.due_budget_days(p_now timestamptz, p_limit integer) RETURNS TABLE (tenant_id text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT t.tenant_id FROM fleet.tenants t LEFT JOIN fleet.budget_days d ON d.tenant_id = t.tenant_id
    WHERE coalesce(d.due_at <= p_now, true)
      AND EXISTS (SELECT FROM fleet.budget_series s WHERE s.tenant_id = t.tenant_id)
    LIMIT p_limit
$$;
REVOKE ALL ON FUNCTION fleet.due_budget_days(timestamptz, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fleet.due_budget_days(timestamptz, integer) TO fleet_app;

-- Series whose meter was read too long ago, and of which nobody was told. The caller looks again under the
-- series' lock.
CREATE FUNCTION fleet.stale_series(p_now timestamptz, p_limit integer) RETURNS TABLE (tenant_id text, id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT s.tenant_id, s.id FROM fleet.budget_series s
    WHERE s.meter = 'reading' AND s.last_checked_at + s.stale_seconds * interval '1 second' < p_now
      AND NOT EXISTS (SELECT FROM fleet.budget_alerts a
                      WHERE a.tenant_id = s.tenant_id AND a.series_id = s.id AND a.rule = 'budget.stale')
    LIMIT p_limit
$$;
REVOKE ALL ON FUNCTION fleet.stale_series(timestamptz, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fleet.stale_series(timestamptz, integer) TO fleet_app;

-- Which meter a report comes from. Of several the best one counts; the others are compared with it.
ALTER TABLE fleet.spend_reports
    ADD meter text NOT NULL DEFAULT 'agent' CHECK (meter IN ('transcript', 'hook', 'agent'));
