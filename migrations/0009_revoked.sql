-- Who had a grant and lost it is asked for whenever rooms are compared with their plan.
CREATE INDEX audit_revoked ON fleet.audit (tenant_id, subject) WHERE action = 'member.revoke';
