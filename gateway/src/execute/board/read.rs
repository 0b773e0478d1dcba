//! Proposals with their seats and ballots, as the register has them.

use std::fmt::Write as _;

use fleet_policy::board::{Rule, SeatWeight, Tally, Threshold, Version, tally};
use fleet_protocol::Problem;
use fleet_protocol::Timestamp;
use fleet_protocol::problem::Code;
use fleet_protocol::reply::{ProposalView, SeatView, TallyView};
use fleet_protocol::verbs::board::{Effect, Holder, ProposalKind, Seat, Verdict};
use uuid::Uuid;

use crate::db::instant;
use crate::execute::{Exec, Stop};

/// A proposal.
#[derive(Debug, Clone)]
pub(super) struct Proposal {
    pub(super) id: Uuid,
    pub(super) number: i32,
    pub(super) title: String,
    pub(super) text: Option<String>,
    pub(super) kind: ProposalKind,
    pub(super) proposer: String,
    pub(super) room: Uuid,
    pub(super) effect: Option<Effect>,
    pub(super) effect_text: Option<String>,
    pub(super) rule: Rule,
    pub(super) closes_at: Timestamp,
    pub(super) hash: Vec<u8>,
    pub(super) card: Uuid,
    /// `open`, or the outcome.
    pub(super) state: String,
    /// Ballots cast so far, and the hash of the last.
    pub(super) ballots: i32,
    pub(super) chain_head: Option<Vec<u8>>,
    pub(super) seats: Vec<Seat>,
    pub(super) cast: Vec<Cast>,
    pub(super) effect_outcome: Option<String>,
}

/// A version of a ballot.
#[derive(Debug, Clone)]
pub(super) struct Cast {
    /// Index of its seat.
    pub(super) seat: usize,
    pub(super) sequence: i32,
    pub(super) verdict: Verdict,
    pub(super) reason: Option<String>,
}

impl Proposal {
    /// The number people see.
    pub(super) fn short(&self) -> String {
        format!("p{}", self.number)
    }

    /// The weights as they stand.
    pub(super) fn tally(&self) -> Tally {
        let seat = |s: &Seat| SeatWeight {
            weight: s.weight,
            may_veto: s.may_veto,
        };
        let version = |c: &Cast| Version {
            seat: c.seat,
            sequence: u64::from(c.sequence.unsigned_abs()),
            verdict: c.verdict,
            reasoned: c.reason.is_some(),
        };
        let seats: Vec<_> = self.seats.iter().map(seat).collect();
        let versions: Vec<_> = self.cast.iter().map(version).collect();
        tally(&seats, &versions)
    }

    /// The ballot of a seat that counts.
    pub(super) fn ballot(&self, seat: usize) -> Option<&Cast> {
        self.cast
            .iter()
            .filter(|c| c.seat == seat)
            .max_by_key(|c| c.sequence)
    }

    /// The proposal for people and programs.
    pub(super) fn view(&self) -> ProposalView {
        let seat = |(index, seat): (usize, &Seat)| {
            let ballot = self.ballot(index);
            SeatView {
                seat: seat.clone(),
                verdict: ballot.map(|b| b.verdict),
                reason: ballot.and_then(|b| b.reason.clone()),
            }
        };
        ProposalView {
            id: self.short(),
            title: self.title.clone(),
            text: self.text.clone(),
            kind: self.kind,
            proposer: self.proposer.clone(),
            effect: self.effect.clone(),
            effect_text: self.effect_text.clone(),
            seats: self.seats.iter().enumerate().map(seat).collect(),
            quorum: self.rule.quorum,
            closes_at: self.closes_at,
            state: self.state.clone(),
            tally: shown(self.tally()),
            effect_outcome: self.effect_outcome.clone(),
            hash: hex(&self.hash),
            chain_head: self.chain_head.as_deref().map(hex),
        }
    }
}

/// A tally for people and programs.
pub(super) fn shown(tally: Tally) -> TallyView {
    TallyView {
        approve: tally.approve,
        reject: tally.reject,
        abstain: tally.abstain,
        conditional: tally.conditional,
        cast: tally.cast(),
        total: tally.total,
    }
}

/// Bytes as lower-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        // Writing to a string cannot fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

fn unreadable(what: &str) -> Stop {
    crate::execute::budget::series::unreadable(what).into()
}

/// Locks a proposal until the transaction ends; whether there is one.
pub(super) async fn lock(exec: &mut Exec<'_>, id: Uuid) -> Result<(), Stop> {
    sqlx::query!(
        "SELECT id FROM fleet.proposals WHERE tenant_id = $1 AND id = $2 FOR UPDATE",
        exec.tenant.as_str(),
        id
    )
    .fetch_optional(&mut *exec.tx)
    .await?
    .map(drop)
    .ok_or_else(not_found)
}

fn not_found() -> Stop {
    Problem::new(Code::NotFound, "there is no such proposal")
        .remedy("see what there is with: !board list")
        .into()
}

/// Reads a proposal with its seats and ballots.
pub(super) async fn load(exec: &mut Exec<'_>, id: Uuid) -> Result<Proposal, Stop> {
    let p = sqlx::query!(
        r#"SELECT p.number, p.title, p.text, p.kind, p.proposer, p.room, p.effect, p.effect_text, p.quorum, p.threshold_of,
               p.threshold_out_of, p.closes_at, p.hash, p.card, p.state, p.ballots, p.chain_head,
               d.effect_state AS "effect_state?", d.effect_problem ->> 'detail' AS effect_problem
           FROM fleet.proposals p
           LEFT JOIN fleet.decisions d ON d.tenant_id = p.tenant_id AND d.proposal_id = p.id
           WHERE p.tenant_id = $1 AND p.id = $2"#,
        exec.tenant.as_str(),
        id
    )
    .fetch_optional(&mut *exec.tx)
    .await?
    .ok_or_else(not_found)?;
    let threshold = match (p.threshold_of, p.threshold_out_of) {
        (Some(of), Some(out_of)) => Threshold::AtLeast {
            of: of.unsigned_abs(),
            out_of: out_of.unsigned_abs(),
        },
        _ => Threshold::Majority,
    };
    let effect = p.effect.map(serde_json::from_value).transpose();
    let effect_outcome = match p.effect_state.as_deref() {
        Some("done") => Some("done".to_owned()),
        Some("refused") => Some(format!("refused: {}", p.effect_problem.unwrap_or_default())),
        _ => None,
    };
    Ok(Proposal {
        id,
        number: p.number,
        title: p.title,
        text: p.text,
        kind: ProposalKind::from_word(&p.kind).ok_or_else(|| unreadable("kind"))?,
        proposer: p.proposer,
        room: p.room,
        effect: effect.map_err(|_| unreadable("effect"))?,
        effect_text: p.effect_text,
        rule: Rule {
            quorum: u8::try_from(p.quorum).map_err(|_| unreadable("quorum"))?,
            threshold,
        },
        closes_at: instant(p.closes_at),
        hash: p.hash,
        card: p.card,
        state: p.state,
        ballots: p.ballots,
        chain_head: p.chain_head,
        seats: seats(exec, id).await?,
        cast: cast(exec, id).await?,
        effect_outcome,
    })
}

async fn seats(exec: &mut Exec<'_>, proposal: Uuid) -> Result<Vec<Seat>, Stop> {
    let rows = sqlx::query!(
        "SELECT title, user_id, agent, weight, may_veto FROM fleet.seats WHERE tenant_id = $1 AND proposal_id = $2 ORDER BY ordinal",
        exec.tenant.as_str(),
        proposal
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    rows.into_iter()
        .map(|r| {
            seat(
                &r.title,
                r.user_id.as_deref(),
                r.agent.as_deref(),
                r.weight,
                r.may_veto,
            )
        })
        .collect()
}

/// A seat of the register's columns.
pub(super) fn seat(
    title: &str,
    user: Option<&str>,
    agent: Option<&str>,
    weight: i16,
    may_veto: bool,
) -> Result<Seat, Stop> {
    let holder = match (user, agent) {
        (Some(user), _) => Holder::User(user.parse().map_err(|_| unreadable("user"))?),
        (None, Some(agent)) => Holder::Agent(agent.parse().map_err(|_| unreadable("agent"))?),
        (None, None) => return Err(unreadable("seat")),
    };
    Ok(Seat {
        title: title.parse().map_err(|_| unreadable("seat"))?,
        holder,
        weight: weight.unsigned_abs(),
        may_veto,
    })
}

async fn cast(exec: &mut Exec<'_>, proposal: Uuid) -> Result<Vec<Cast>, Stop> {
    let rows = sqlx::query!(
        "SELECT seat, sequence, verdict, reason FROM fleet.ballots WHERE tenant_id = $1 AND proposal_id = $2 ORDER BY sequence",
        exec.tenant.as_str(),
        proposal
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    rows.into_iter()
        .map(|r| {
            Ok(Cast {
                seat: usize::from(r.seat.unsigned_abs()).saturating_sub(1),
                sequence: r.sequence,
                verdict: Verdict::from_word(&r.verdict).ok_or_else(|| unreadable("verdict"))?,
                reason: r.reason,
            })
        })
        .collect()
}
