-- Who waits with a claim for budget is not idle: the claim starts by itself, and to tell of work that the same limit keeps waiting
-- would only make it claim again.

-- Tasks that anybody of their role may claim now, apart from the budget.
CREATE OR REPLACE VIEW fleet.open_tasks WITH (security_invoker = true) AS
    SELECT t.tenant_id, t.id, t.role, t.provider FROM fleet.tasks t
    WHERE t.status = 'pending' AND t.reserved_agent IS NULL
      AND NOT EXISTS (SELECT FROM fleet.task_dependencies d
                      JOIN fleet.tasks o ON o.tenant_id = d.tenant_id AND o.id = d.depends_on
                      WHERE d.tenant_id = t.tenant_id AND d.task_id = t.id AND o.status <> 'completed');

-- Agents that have an inbox they asked, hold nothing, and wait for no account that pays for all that is open for their role;
-- whether what they were told of ready work is still unread.
CREATE OR REPLACE VIEW fleet.idle_agents WITH (security_invoker = true) AS
    SELECT a.tenant_id, a.id, a.role, a.name, a.listened_at, a.woken_at, a.context_tokens,
           EXISTS (SELECT FROM fleet.items i WHERE i.tenant_id = a.tenant_id AND i.id = a.woken_item
                   AND i.acknowledged_at IS NULL) AS is_told
    FROM fleet.agents a
    WHERE a.retired_at IS NULL AND a.listened_at IS NOT NULL
      AND NOT EXISTS (SELECT FROM fleet.attempts t WHERE t.tenant_id = a.tenant_id AND t.agent_id = a.id AND t.ended_at IS NULL)
      AND NOT EXISTS (
          SELECT FROM fleet.budget_queue q JOIN fleet.tasks w ON w.tenant_id = q.tenant_id AND w.id = q.task_id
          WHERE q.tenant_id = a.tenant_id AND q.agent_id = a.id AND q.incarnation = a.incarnation
            AND NOT EXISTS (SELECT FROM fleet.open_tasks o
                            WHERE o.tenant_id = a.tenant_id AND o.role = a.role AND o.provider IS DISTINCT FROM w.provider));
