//! Proposals with their record, as the register has them.

use fleet_policy::board::{Ended, Standing, Tally, end_of, hex, outcome, settled, stand, tally};
use fleet_protocol::Problem;
use fleet_protocol::Timestamp;
use fleet_protocol::problem::Code;
use fleet_protocol::record::{Act, Content, Entry, Extension, Outcome, Statement};
use fleet_protocol::reply::{DecisionView, ProposalView, SeatView, TallyView};
use fleet_protocol::verbs::board::{Holder, Seat};
use uuid::Uuid;

use super::money;
use crate::db::instant;
use crate::execute::{Exec, Stop};

/// A proposal with all that happened to it.
#[derive(Debug, Clone)]
pub(super) struct Proposal {
    pub(super) id: Uuid,
    pub(super) number: i32,
    /// What is voted on.
    pub(super) content: Content,
    pub(super) effect_text: Option<String>,
    pub(super) room: Uuid,
    pub(super) hash: Vec<u8>,
    pub(super) card: Uuid,
    /// `open`, or the outcome.
    pub(super) state: String,
    pub(super) early_at: Option<Timestamp>,
    pub(super) remind_at: Timestamp,
    pub(super) reminded: bool,
    pub(super) entries: Vec<Entry>,
    /// The hash of the last entry, the proposal's while there is none.
    pub(super) head: Vec<u8>,
    /// Whether a person must approve, as things are now.
    pub(super) human: bool,
    supersedes: Option<i32>,
    superseded_by: Option<i32>,
    decision: Option<DecisionView>,
    effect_outcome: Option<String>,
}

impl Proposal {
    /// The number people see.
    pub(super) fn short(&self) -> String {
        format!("p{}", self.number)
    }

    pub(super) fn is_open(&self) -> bool {
        self.state == "open"
    }

    /// The number of the proposal in its place, as people see it.
    pub(super) fn successor(&self) -> Option<String> {
        self.superseded_by.map(|n| format!("p{n}"))
    }

    /// Where every seat stands.
    pub(super) fn standing(&self) -> Vec<Standing<'_>> {
        stand(&self.content.seats, &self.entries)
    }

    pub(super) fn tally(&self) -> Tally {
        tally(&self.content.seats, &self.standing())
    }

    /// The outcome with the ballots as they stand.
    pub(super) fn outcome(&self) -> Ended {
        outcome(&self.tally(), &self.content.rule, self.human)
    }

    /// The outcome, if nothing that is still to be cast can change it.
    pub(super) fn settled(&self) -> Option<Outcome> {
        settled(&self.tally(), &self.content.rule, self.human)
    }

    /// When voting ends, and why later than declared.
    pub(super) fn end(&self) -> (Timestamp, Option<Extension>) {
        end_of(&self.content, &self.entries)
    }

    /// The proposal for people and programs.
    pub(super) fn view(&self) -> ProposalView {
        let tally = self.tally();
        let (ends_at, extended) = self.end();
        let content = &self.content;
        ProposalView {
            id: self.short(),
            title: content.title.clone(),
            text: content.text.clone(),
            kind: content.kind,
            proposer: content.proposer.clone(),
            effect: content.effect.clone(),
            effect_text: self.effect_text.clone(),
            seats: self.seats(),
            rule: content.rule,
            human_required: self.human,
            opened_at: content.opened_at,
            closes_at: content.closes_at,
            ends_at,
            extended,
            ends_early_at: self.early_at.filter(|_| self.is_open()),
            state: self.state.clone(),
            supersedes: self.supersedes.map(|n| format!("p{n}")),
            superseded_by: self.successor(),
            if_nothing: self.is_open().then(|| self.outcome().outcome),
            tally: shown(&tally),
            decision: self.decision.clone(),
            effect_outcome: self.effect_outcome.clone(),
            hash: hex(&self.hash),
            head: hex(&self.head),
        }
    }

    /// The seats for people and programs.
    pub(super) fn seats(&self) -> Vec<SeatView> {
        let all = self.content.seats.iter().zip(self.standing());
        all.map(|(seat, stands)| {
            let ballot = stands.ballot.map(|(_, ballot)| ballot);
            SeatView {
                seat: Seat {
                    title: seat.title.clone(),
                    holder: seat.holder.clone(),
                    weight: seat.weight,
                    may_veto: seat.may_veto,
                },
                suspended: stands.suspended,
                verdict: ballot.map(|b| b.verdict),
                confidence: ballot.and_then(|b| b.confidence),
                statement: ballot.and_then(|b| b.statement.clone()).unwrap_or_default(),
            }
        })
        .collect()
    }
}

/// A tally for people and programs.
pub(super) fn shown(tally: &Tally) -> TallyView {
    TallyView {
        approve: tally.approve,
        reject: tally.reject,
        abstain: tally.abstain,
        conditional: tally.conditional,
        cast: tally.cast(),
        total: tally.total,
    }
}

pub(super) fn unreadable(what: &str) -> Stop {
    crate::execute::budget::series::unreadable(what).into()
}

/// Locks a proposal until the transaction ends, and reads it.
pub(super) async fn locked(exec: &mut Exec<'_>, id: Uuid) -> Result<Proposal, Stop> {
    sqlx::query!(
        "SELECT id FROM fleet.proposals WHERE tenant_id = $1 AND id = $2 FOR UPDATE",
        exec.tenant.as_str(),
        id
    )
    .fetch_optional(&mut *exec.tx)
    .await?
    .map(drop)
    .ok_or_else(not_found)?;
    load(exec, id).await
}

fn not_found() -> Stop {
    Problem::new(Code::NotFound, "there is no such proposal")
        .remedy("see what there is with: !board list")
        .into()
}

/// Reads a proposal with its record.
pub(super) async fn load(exec: &mut Exec<'_>, id: Uuid) -> Result<Proposal, Stop> {
    let p = sqlx::query!(
        r#"SELECT p.number, p.canonical, p.effect_text, p.room, p.hash, p.card, p.state, p.early_at, p.remind_at, p.reminded, p.chain_head,
               before.number AS "supersedes?", after.number AS "superseded_by?",
               d.id AS "decision?", d.decided_at AS "decided_at?", d.ended_by AS "ended_by?", d.closed_by, d.close_reason,
               d.by_default AS "by_default?", d.effect_state AS "effect_state?", d.effect_problem ->> 'detail' AS effect_problem
           FROM fleet.proposals p
           LEFT JOIN fleet.proposals before ON before.tenant_id = p.tenant_id AND before.id = p.supersedes
           LEFT JOIN fleet.proposals after ON after.tenant_id = p.tenant_id AND after.id = p.superseded_by
           LEFT JOIN fleet.decisions d ON d.tenant_id = p.tenant_id AND d.proposal_id = p.id
           WHERE p.tenant_id = $1 AND p.id = $2"#,
        exec.tenant.as_str(),
        id
    )
    .fetch_optional(&mut *exec.tx)
    .await?
    .ok_or_else(not_found)?;
    let decision = match (p.decision, p.decided_at, p.ended_by) {
        (Some(id), Some(at), Some(ended_by)) => Some(DecisionView {
            id,
            at: instant(at),
            ended_by: word(&ended_by, "reason of an end")?,
            closed_by: p.closed_by,
            reason: p.close_reason,
            by_default: p.by_default.unwrap_or_default(),
        }),
        _ => None,
    };
    let effect_outcome = match p.effect_state.as_deref() {
        Some("done") => Some("done".to_owned()),
        Some("refused") => Some(format!("refused: {}", p.effect_problem.unwrap_or_default())),
        _ => None,
    };
    let content: Content =
        serde_json::from_str(&p.canonical).map_err(|_| unreadable("proposal"))?;
    let human = money::human_required(exec, &content).await?;
    Ok(Proposal {
        id,
        number: p.number,
        content,
        effect_text: p.effect_text,
        room: p.room,
        head: p.chain_head.unwrap_or_else(|| p.hash.clone()),
        hash: p.hash,
        card: p.card,
        state: p.state,
        early_at: p.early_at.map(instant),
        remind_at: instant(p.remind_at),
        reminded: p.reminded,
        entries: entries(exec, id)
            .await?
            .into_iter()
            .map(|(e, _)| e)
            .collect(),
        human,
        supersedes: p.supersedes,
        superseded_by: p.superseded_by,
        decision,
        effect_outcome,
    })
}

/// A stored word as its variant.
fn word<T: serde::de::DeserializeOwned>(stored: &str, what: &str) -> Result<T, Stop> {
    serde_json::from_value(stored.into()).map_err(|_| unreadable(what))
}

/// Everything that happened to a proposal, in order, each with its hash. Dropped texts are left out.
pub(super) async fn entries(
    exec: &mut Exec<'_>,
    proposal: Uuid,
) -> Result<Vec<(Entry, Vec<u8>)>, Stop> {
    let rows = sqlx::query!(
        r#"SELECT content, hash, CASE WHEN statement_dropped_at IS NULL THEN statement END AS statement
           FROM fleet.entries WHERE tenant_id = $1 AND proposal_id = $2 ORDER BY sequence"#,
        exec.tenant.as_str(),
        proposal
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    rows.into_iter()
        .map(|r| {
            let mut entry: Entry =
                serde_json::from_str(&r.content).map_err(|_| unreadable("entry"))?;
            if let Act::Cast(ballot) = &mut entry.act {
                let statement = r.statement.map(serde_json::from_value::<Statement>);
                ballot.statement = statement.transpose().map_err(|_| unreadable("statement"))?;
            }
            Ok((entry, r.hash))
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
