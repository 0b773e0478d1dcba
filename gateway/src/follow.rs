//! What each kind of event asks for.

use fleet_protocol::document::{code, text};
use fleet_protocol::envelope::{Body, Envelope, Outcome, Receipt};
use fleet_protocol::problem::Code;
use fleet_protocol::reply::Reply;
use fleet_protocol::{Document, Problem};
use serde_json::json;

use crate::db::{self, Tx};
use crate::execute::{alert, board};
use crate::journal::{self, Entry, Prior, REDACTED, Seen};
use crate::run::{self, Core, Ended, Job};
use crate::{answer, submit};

/// The verb an event asks for.
pub(crate) fn verb(body: &Body) -> Option<&'static str> {
    match body {
        Body::Line { request, .. } | Body::Event { request, .. } => Some(request.name()),
        Body::Ballot { .. } => Some("board.vote"),
        Body::Ask { .. } => Some("board.propose"),
        Body::Acknowledge { .. } => Some("alert.ack"),
        _ => None,
    }
}

/// Does what an event asks, as far as its sender may.
pub(crate) async fn body(
    core: &Core,
    tx: &mut Tx,
    job: &Job<'_>,
    seen: &Seen,
    envelope: &Envelope,
) -> Result<Ended, sqlx::Error> {
    let allowed = |verb: &str, writes, via_chat| {
        run::authorize(job.actor, verb, writes, Some(envelope.joined), via_chat)
    };
    match &envelope.body {
        Body::Line { request, .. } => {
            if let Err(problem) = allowed(request.name(), writes(request), true) {
                return Ok(Ended::refused(problem, job.admission));
            }
            run::settle(tx, job, core.ids.as_ref(), async |exec| {
                run::request(exec, request).await.map(Some)
            })
            .await
        }
        Body::Event {
            id,
            request,
            agent,
            lease,
            ..
        } => {
            let key = journal::key_of(envelope.sender.as_str(), id);
            if let Some((prior, _)) = journal::find(tx, job.tenant, &key).await? {
                return Ok(submit::again(
                    prior,
                    &journal::digest(request, Some(agent), lease.as_ref()),
                    job.admission,
                ));
            }
            let may = run::identify(seen, agent, request)
                .and_then(|()| allowed(request.name(), writes(request), false));
            if let Err(problem) = may {
                return Ok(Ended::refused(problem, job.admission));
            }
            run::settle(tx, job, core.ids.as_ref(), async |exec| {
                run::request(exec, request).await.map(Some)
            })
            .await
        }
        Body::Refused(problem) | Body::RefusedEvent { problem, .. } => {
            Ok(Ended::refused(problem.clone(), job.admission))
        }
        Body::Ballot {
            target,
            verdict,
            reason,
            via,
        } => {
            let Some(proposal) = board::card_of(tx, job, target).await? else {
                return Ok(Ended::skipped());
            };
            // As with chat lines: what an agent's model prints is no vote; it votes by an event that
            // names its incarnation.
            if let Err(problem) = allowed("board.vote", true, true) {
                let (tenant, who) = (job.tenant.as_str(), &job.actor.principal);
                return Ok(if board::may_tell(tx, tenant, proposal, who).await? {
                    Ended::refused(problem, job.admission)
                } else {
                    Ended::skipped()
                });
            }
            run::settle(tx, job, core.ids.as_ref(), async |exec| {
                board::ballot(exec, proposal, *verdict, reason.as_deref(), *via).await
            })
            .await
        }
        Body::Ask { target } => {
            let Some(incident) = board::alert_of(tx, job, target).await? else {
                return Ok(Ended::skipped());
            };
            if let Err(problem) = allowed("board.propose", true, true) {
                return Ok(Ended::refused(problem, job.admission));
            }
            run::settle(tx, job, core.ids.as_ref(), async |exec| {
                board::ask(exec, incident).await.map(Some)
            })
            .await
        }
        Body::Acknowledge { target } => {
            let Some(incident) = alert::of_message(tx, job.tenant, target).await? else {
                return Ok(Ended::skipped());
            };
            if let Err(problem) = allowed("alert.ack", true, true) {
                return Ok(Ended::refused(problem, job.admission));
            }
            run::settle(tx, job, core.ids.as_ref(), async |exec| {
                alert::acknowledge(exec, incident).await.map(Some)
            })
            .await
        }
        Body::Redaction { target } => redaction(core, tx, job, envelope, target).await,
        Body::Edit { target } => edit(tx, job, target).await,
    }
}

fn writes(request: &fleet_protocol::Request) -> bool {
    matches!(request, fleet_protocol::Request::Command(_))
}

/// Journals an agent's own key beside the event's; `false` when it was taken meanwhile.
pub(crate) async fn alias(
    core: &Core,
    tx: &mut Tx,
    entry: &Entry<'_>,
    envelope: &Envelope,
) -> Result<bool, sqlx::Error> {
    let Body::Event {
        id,
        request,
        agent,
        lease,
        ..
    } = &envelope.body
    else {
        return Ok(true);
    };
    // It counts the same in a room and over HTTP.
    let key = journal::key_of(envelope.sender.as_str(), id);
    if journal::find(tx, entry.tenant, &key).await?.is_some() {
        return Ok(true);
    }
    let receipt = Receipt {
        id: core.ids.next(),
        key,
        ..entry.receipt.clone()
    };
    let digest = journal::digest(request, Some(agent), lease.as_ref());
    let body = json!({ "event": envelope.key });
    journal::write(
        tx,
        &Entry {
            digest: &digest,
            body: &body,
            receipt: &receipt,
            ..*entry
        },
    )
    .await
}

/// A redaction cancels what has not run: its key is taken, so that a late copy never runs. After
/// execution it is told what was done, and how to undo it.
async fn redaction(
    core: &Core,
    tx: &mut Tx,
    job: &Job<'_>,
    envelope: &Envelope,
    target: &str,
) -> Result<Ended, sqlx::Error> {
    if let Some(what) = board::redacted(tx, job, target).await? {
        return run::settle(tx, job, core.ids.as_ref(), async |exec| {
            board::redact(exec, what).await
        })
        .await;
    }
    let Some((prior, verb)) = journal::find(tx, job.tenant, target).await? else {
        let receipt = Ended::skipped().receipt(core.ids.next(), target);
        let body = json!({ "redacted_by": envelope.key });
        let principal = envelope.sender.as_str();
        let entry = Entry {
            tenant: job.tenant,
            digest: REDACTED,
            principal,
            room: job.place.room,
            verb: None,
            body: &body,
            authority: &json!({}),
            now: job.now,
            receipt: &receipt,
        };
        if !journal::write(tx, &entry).await? {
            // It is being executed at this moment: look again when that is known.
            return Err(db::again());
        }
        return Ok(Ended::skipped());
    };
    let (Some(verb), Outcome::Done) = (verb, prior.receipt.outcome) else {
        return Ok(Ended::skipped());
    };
    if !fleet_protocol::language::Command::VERBS
        .iter()
        .any(|v| v.name == verb)
    {
        return Ok(Ended::skipped());
    }
    let said = done(&verb, &prior);
    Ok(Ended {
        rows: vec![answer::note(envelope, said, core.ids.next())],
        ..Ended::skipped()
    })
}

fn done(verb: &str, prior: &Prior) -> Document {
    let words = verb.replace('.', " ");
    let document = Document::text(format!(
        "That message had been executed already ({words}); removing it changes nothing."
    ));
    match prior
        .receipt
        .reply
        .as_ref()
        .and_then(|reply| undo(verb, reply))
    {
        Some(line) => document.paragraph([text("To undo it: "), code(line)]),
        None => document.paragraph([text("It cannot be undone by one command.")]),
    }
}

/// The line that undoes an executed command, where one does.
fn undo(verb: &str, reply: &Reply) -> Option<String> {
    match (verb, reply) {
        ("pause", _) => Some("!resume".to_owned()),
        ("resume", _) => Some("!pause".to_owned()),
        ("task.add", Reply::Task(t)) => Some(format!("!task cancel {}", t.now.id)),
        ("task.claim", Reply::Task(t)) => Some(format!("!task release {}", t.now.id)),
        ("task.cancel", Reply::Task(t)) => Some(format!("!task retry {}", t.now.id)),
        ("task.block", Reply::Task(t)) => Some(format!("!task unblock {}", t.now.id)),
        ("mission.new", Reply::Mission(m)) => Some(format!("!mission close {}", m.now.id)),
        ("member.add" | "member.grant", Reply::Member(m)) => {
            Some(format!("!member revoke {}", m.now.user))
        }
        ("board.propose", Reply::Proposal(p)) => Some(format!("!board close {}", p.now.id)),
        _ => None,
    }
}

/// Edits never run; who edits an executed command is told so.
async fn edit(tx: &mut Tx, job: &Job<'_>, target: &str) -> Result<Ended, sqlx::Error> {
    let prior = journal::find(tx, job.tenant, target).await?;
    if prior.is_none_or(|(_, verb)| verb.is_none()) {
        return Ok(Ended::skipped());
    }
    let problem = Problem::new(
        Code::Edited,
        "edits never run; the command stands as it was first sent",
    )
    .remedy("send the new line as a message of its own");
    Ok(Ended::refused(problem, job.admission))
}
