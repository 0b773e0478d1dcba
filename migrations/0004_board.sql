-- The board: seats, proposals, ballots in a chain, decisions.

-- The seats a proposal gets unless it names its own. None: every operator is a seat.
CREATE TABLE fleet.board_seats (
    tenant_id text NOT NULL REFERENCES fleet.tenants,
    ordinal smallint NOT NULL CHECK (ordinal >= 1),
    title text NOT NULL CHECK (title ~ '^[a-z0-9][a-z0-9_.-]{0,63}$'),
    -- Exactly one: a person by Matrix user, or an agent by name, whichever incarnation.
    user_id text CHECK (user_id LIKE '@%:%'),
    agent text CHECK (agent ~ '^[a-z0-9][a-z0-9_.-]{0,63}$'),
    weight smallint NOT NULL DEFAULT 1 CHECK (weight BETWEEN 1 AND 1000),
    may_veto boolean NOT NULL DEFAULT false,
    PRIMARY KEY (tenant_id, title),
    UNIQUE (tenant_id, ordinal),
    CHECK (num_nonnulls(user_id, agent) = 1)
);
CALL fleet.protect('fleet.board_seats');
GRANT SELECT, INSERT, DELETE ON fleet.board_seats TO fleet_app;

CREATE TABLE fleet.proposals (
    tenant_id text NOT NULL REFERENCES fleet.tenants,
    id uuid NOT NULL,
    number integer NOT NULL CHECK (number > 0),
    title text NOT NULL CHECK (char_length(title) BETWEEN 1 AND 200),
    text text CHECK (char_length(text) BETWEEN 1 AND 20000),
    kind text NOT NULL CHECK (kind IN ('brief', 'budget_lift', 'window_change', 'goal', 'role_change', 'pause', 'free_text')),
    proposer text NOT NULL,
    -- The room of the card; its mark says when every ballot before the end has been read.
    room uuid NOT NULL,
    -- The command that runs when it passes, and what it does in words.
    effect jsonb,
    effect_text text,
    quorum smallint NOT NULL CHECK (quorum BETWEEN 0 AND 100),
    -- Share for it over for and against: NULL is a strict majority.
    threshold_of integer CHECK (threshold_of >= 1),
    threshold_out_of integer CHECK (threshold_out_of >= threshold_of),
    default_outcome text NOT NULL DEFAULT 'rejected' CHECK (default_outcome = 'rejected'),
    closes_at timestamptz NOT NULL,
    -- What the hash was taken over, and the hash: nothing of it changes after the first ballot.
    canonical text NOT NULL,
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    -- The outbox row of the card.
    card uuid NOT NULL,
    state text NOT NULL DEFAULT 'open'
        CHECK (state IN ('open', 'approved', 'approved_with_conditions', 'rejected', 'superseded')),
    -- Ballots cast so far, and the hash of the last: taken under this row's lock.
    ballots integer NOT NULL DEFAULT 0 CHECK (ballots >= 0),
    chain_head bytea CHECK (octet_length(chain_head) = 32),
    created_at timestamptz NOT NULL,
    admission uuid NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, number),
    FOREIGN KEY (tenant_id, room) REFERENCES fleet.rooms (tenant_id, id),
    FOREIGN KEY (tenant_id, card) REFERENCES fleet.outbox (tenant_id, id) DEFERRABLE INITIALLY DEFERRED,
    CHECK ((threshold_of IS NULL) = (threshold_out_of IS NULL)),
    CHECK ((effect IS NULL) = (effect_text IS NULL)),
    CHECK ((ballots = 0) = (chain_head IS NULL)),
    CHECK (closes_at > created_at)
);
CALL fleet.protect('fleet.proposals');
GRANT SELECT, INSERT, UPDATE (state, ballots, chain_head, card) ON fleet.proposals TO fleet_app;
CREATE INDEX proposals_due ON fleet.proposals (closes_at) WHERE state = 'open';

-- Frozen when the proposal opens.
CREATE TABLE fleet.seats (
    tenant_id text NOT NULL,
    proposal_id uuid NOT NULL,
    ordinal smallint NOT NULL CHECK (ordinal >= 1),
    title text NOT NULL,
    user_id text CHECK (user_id LIKE '@%:%'),
    agent text,
    weight smallint NOT NULL CHECK (weight BETWEEN 1 AND 1000),
    may_veto boolean NOT NULL,
    PRIMARY KEY (tenant_id, proposal_id, ordinal),
    UNIQUE (tenant_id, proposal_id, title),
    FOREIGN KEY (tenant_id, proposal_id) REFERENCES fleet.proposals (tenant_id, id),
    CHECK (num_nonnulls(user_id, agent) = 1)
);
CALL fleet.protect('fleet.seats');
GRANT SELECT, INSERT ON fleet.seats TO fleet_app;

-- Every version of every ballot; the latest of a seat counts.
CREATE TABLE fleet.ballots (
    tenant_id text NOT NULL,
    proposal_id uuid NOT NULL,
    sequence integer NOT NULL CHECK (sequence >= 1),
    seat smallint NOT NULL,
    principal text NOT NULL,
    incarnation bigint,
    verdict text NOT NULL CHECK (verdict IN ('approve', 'reject', 'abstain', 'veto', 'conditional')),
    reason text CHECK (char_length(reason) BETWEEN 1 AND 4000),
    confidence smallint CHECK (confidence BETWEEN 0 AND 100),
    via text NOT NULL CHECK (via IN ('command', 'reply', 'reaction')),
    -- The event that cast it; none for a call outside rooms.
    event_id text,
    -- The homeserver's clock for a ballot of a room, else the admission's.
    cast_at timestamptz NOT NULL,
    previous bytea CHECK (octet_length(previous) = 32),
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    admission uuid NOT NULL,
    PRIMARY KEY (tenant_id, proposal_id, sequence),
    FOREIGN KEY (tenant_id, proposal_id, seat) REFERENCES fleet.seats (tenant_id, proposal_id, ordinal),
    CHECK ((sequence = 1) = (previous IS NULL)),
    CHECK (verdict <> 'veto' OR reason IS NOT NULL)
);
CALL fleet.protect('fleet.ballots');
GRANT SELECT, INSERT ON fleet.ballots TO fleet_app;

-- How it ended: one per proposal, final.
CREATE TABLE fleet.decisions (
    tenant_id text NOT NULL,
    proposal_id uuid NOT NULL,
    id uuid NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('approved', 'approved_with_conditions', 'rejected', 'superseded')),
    -- Why it ended: its time came, nothing could change it, or an operator ended it.
    ended_by text NOT NULL CHECK (ended_by IN ('time', 'settled', 'operator')),
    closed_by text,
    close_reason text,
    tally jsonb NOT NULL,
    chain_head bytea CHECK (octet_length(chain_head) = 32),
    decided_at timestamptz NOT NULL,
    -- What became of the effect: none did run, it was done, or it was refused for a reason.
    effect_state text NOT NULL CHECK (effect_state IN ('none', 'done', 'refused')),
    effect_reply jsonb,
    effect_problem jsonb,
    admission uuid NOT NULL,
    PRIMARY KEY (tenant_id, proposal_id),
    UNIQUE (tenant_id, id),
    FOREIGN KEY (tenant_id, proposal_id) REFERENCES fleet.proposals (tenant_id, id),
    CHECK ((effect_state = 'refused') = (effect_problem IS NOT NULL)),
    CHECK ((effect_state = 'done') = (effect_reply IS NOT NULL)),
    CHECK (effect_state = 'none' OR outcome = 'approved')
);
CALL fleet.protect('fleet.decisions');
GRANT SELECT, INSERT ON fleet.decisions TO fleet_app;

-- Proposals whose time has come, and whose room has been read up to that time, or which waited for
-- that for ten minutes. The caller looks again under the proposal's lock.
CREATE FUNCTION fleet.due_proposals(p_now timestamptz, p_limit integer) RETURNS TABLE (tenant_id text, proposal_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT p.tenant_id, p.id FROM fleet.proposals p
    JOIN fleet.rooms r ON r.tenant_id = p.tenant_id AND r.id = p.room
    WHERE p.state = 'open' AND p.closes_at <= p_now
      AND (r.read_up_to >= p.closes_at OR r.room_id IS NULL OR p.closes_at + interval '10 minutes' <= p_now)
    ORDER BY p.closes_at LIMIT p_limit
$$;
REVOKE ALL ON FUNCTION fleet.due_proposals(timestamptz, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fleet.due_proposals(timestamptz, integer) TO fleet_app;
