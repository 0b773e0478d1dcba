-- The board in full: the record of a vote as a chain of entries, extensions and early ends, templates.
--
-- Before the first release: what 0004 kept of votes has another form of hash and is not carried over.

TRUNCATE fleet.decisions, fleet.ballots, fleet.seats, fleet.proposals;
DROP TABLE fleet.ballots;
DROP FUNCTION fleet.due_proposals(timestamptz, integer);
DROP INDEX fleet.proposals_due;

-- The content in canonical form is the truth about rule, seats and times; the columns serve queries.
ALTER TABLE fleet.proposals
    DROP COLUMN quorum,
    DROP COLUMN threshold_of,
    DROP COLUMN threshold_out_of,
    DROP COLUMN default_outcome,
    -- When voting ends, with its extensions; and when it ends early, as long as nothing can change it.
    ADD COLUMN ends_at timestamptz NOT NULL,
    ADD COLUMN early_at timestamptz,
    ADD COLUMN remind_at timestamptz NOT NULL,
    ADD COLUMN reminded boolean NOT NULL DEFAULT false,
    ADD COLUMN supersedes uuid,
    ADD COLUMN superseded_by uuid,
    ADD FOREIGN KEY (tenant_id, supersedes) REFERENCES fleet.proposals (tenant_id, id),
    ADD FOREIGN KEY (tenant_id, superseded_by) REFERENCES fleet.proposals (tenant_id, id),
    ADD CHECK (ends_at >= closes_at),
    ADD CHECK (superseded_by IS NULL OR state = 'superseded');
ALTER TABLE fleet.proposals RENAME COLUMN ballots TO entries;
GRANT UPDATE (ends_at, early_at, reminded, superseded_by) ON fleet.proposals TO fleet_app;
CREATE INDEX proposals_open ON fleet.proposals (tenant_id, ends_at) WHERE state = 'open';

-- Everything that happened to a proposal. Written once; only a voter's words can be dropped later.
CREATE TABLE fleet.entries (
    tenant_id text NOT NULL,
    proposal_id uuid NOT NULL,
    sequence integer NOT NULL CHECK (sequence >= 1),
    act text NOT NULL CHECK (act IN ('cast', 'withdraw', 'retract', 'extend', 'suspend', 'restore', 'decide')),
    -- The entry in canonical form without its statement: what the hash is taken over, with the hash before.
    content text NOT NULL,
    -- What the voter wrote, and when its message was redacted after the end: then it is shown nowhere.
    statement jsonb,
    statement_dropped_at timestamptz,
    -- The event that caused it; none for a call outside rooms and for what time causes.
    event_id text,
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    admission uuid NOT NULL,
    PRIMARY KEY (tenant_id, proposal_id, sequence),
    FOREIGN KEY (tenant_id, proposal_id) REFERENCES fleet.proposals (tenant_id, id),
    CHECK (statement IS NULL OR act = 'cast'),
    CHECK (statement_dropped_at IS NULL OR statement IS NOT NULL)
);
CALL fleet.protect('fleet.entries');
GRANT SELECT, INSERT, UPDATE (statement_dropped_at) ON fleet.entries TO fleet_app;
CREATE UNIQUE INDEX entries_by_event ON fleet.entries (tenant_id, event_id) WHERE event_id IS NOT NULL AND act = 'cast';

ALTER TABLE fleet.decisions
    DROP CONSTRAINT decisions_ended_by_check,
    ADD CHECK (ended_by IN ('time', 'settled', 'operator', 'amended')),
    ADD COLUMN by_default boolean NOT NULL DEFAULT false,
    -- The provider account whose money the effect moved, how much, and whether a person approved: what
    -- passes without a person adds up over 7 days.
    ADD COLUMN provider text,
    ADD COLUMN money_usd_micro bigint CHECK (money_usd_micro >= 0),
    ADD COLUMN human boolean NOT NULL DEFAULT false,
    ADD CHECK (money_usd_micro IS NULL OR provider IS NOT NULL);
CREATE INDEX decisions_by_provider ON fleet.decisions (tenant_id, provider, decided_at) WHERE provider IS NOT NULL;
CREATE INDEX decisions_by_time ON fleet.decisions (tenant_id, decided_at);

-- The standing board.
ALTER TABLE fleet.board_seats ADD COLUMN suspended_at timestamptz;
GRANT UPDATE (user_id, agent, weight, may_veto, suspended_at) ON fleet.board_seats TO fleet_app;

-- Who was told that they have no seat: once for each proposal.
CREATE TABLE fleet.seatless (
    tenant_id text NOT NULL,
    proposal_id uuid NOT NULL,
    principal text NOT NULL,
    PRIMARY KEY (tenant_id, proposal_id, principal),
    FOREIGN KEY (tenant_id, proposal_id) REFERENCES fleet.proposals (tenant_id, id)
);
CALL fleet.protect('fleet.seatless');
GRANT SELECT, INSERT ON fleet.seatless TO fleet_app;

-- Templates and personas of the fleet's own, which override the built-in ones by name.
CREATE TABLE fleet.board_files (
    tenant_id text NOT NULL REFERENCES fleet.tenants,
    kind text NOT NULL CHECK (kind IN ('template', 'persona')),
    name text NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9_.-]{0,63}$'),
    yaml text NOT NULL CHECK (char_length(yaml) BETWEEN 1 AND 65536),
    PRIMARY KEY (tenant_id, kind, name)
);
CALL fleet.protect('fleet.board_files');
GRANT SELECT ON fleet.board_files TO fleet_app;

-- The proposal that an incident asked for by one tap.
ALTER TABLE fleet.incidents ADD COLUMN proposal uuid,
    ADD FOREIGN KEY (tenant_id, proposal) REFERENCES fleet.proposals (tenant_id, id);
GRANT UPDATE (proposal) ON fleet.incidents TO fleet_app;

GRANT UPDATE (priority) ON fleet.tasks TO fleet_app;

-- Edits of one message go out at most once a second.
CREATE INDEX outbox_edits ON fleet.outbox (tenant_id, target_row, first_attempt_at) WHERE post ? 'edit';

-- Proposals with something to do: an end whose room has been read up to it, or has not been for ten
-- minutes, and a reminder. The caller looks again under the proposal's lock.
CREATE FUNCTION fleet.due_proposals(p_now timestamptz, p_limit integer) RETURNS TABLE (tenant_id text, proposal_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT p.tenant_id, p.id FROM fleet.proposals p
    JOIN fleet.rooms r ON r.tenant_id = p.tenant_id AND r.id = p.room
    WHERE p.state = 'open' AND (
        (p.ends_at <= p_now AND (r.read_up_to >= p.ends_at OR r.room_id IS NULL OR p.ends_at + interval '10 minutes' <= p_now))
        OR (p.early_at <= p_now AND (r.read_up_to >= p.early_at OR r.room_id IS NULL))
        OR (NOT p.reminded AND p.remind_at <= p_now))
    ORDER BY p.ends_at LIMIT p_limit
$$;
REVOKE ALL ON FUNCTION fleet.due_proposals(timestamptz, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fleet.due_proposals(timestamptz, integer) TO fleet_app;
