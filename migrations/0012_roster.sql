-- Roles and profiles are data files like templates and personas.
ALTER TABLE fleet.board_files RENAME TO files;
ALTER TABLE fleet.files DROP CONSTRAINT board_files_kind_check;
ALTER TABLE fleet.files ADD CHECK (kind IN ('template', 'persona', 'role', 'profile'));

-- The agents that the fleet should have, as the roster names them.
CREATE TABLE fleet.roster (
    tenant_id text NOT NULL REFERENCES fleet.tenants,
    name text NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9_.-]{0,63}$'),
    role text NOT NULL CHECK (role ~ '^[a-z0-9][a-z0-9_.-]{0,63}$'),
    runtime text NOT NULL CHECK (runtime ~ '^[a-z0-9][a-z0-9_.-]{0,63}$'),
    -- None: whatever machine the roster is for.
    host text CHECK (host ~ '^[a-z0-9][a-z0-9_.-]{0,63}$'),
    -- Everything else that the roster says of it.
    entry jsonb NOT NULL,
    PRIMARY KEY (tenant_id, name)
);
CALL fleet.protect('fleet.roster');
GRANT SELECT, INSERT, UPDATE (role, runtime, host, entry), DELETE ON fleet.roster TO fleet_app;

-- Whose commands count in a room; empty: everybody's whose grant fits.
ALTER TABLE fleet.rooms ADD COLUMN may_command text[] NOT NULL DEFAULT '{}'
    CHECK (may_command <@ ARRAY['viewer', 'agent', 'member', 'operator']);
GRANT UPDATE (name, topic, may_command) ON fleet.rooms TO fleet_app;
