//! What the board's room sees of a proposal: the live card, the reminder, the review, the decision.

use super::board::{holder, title};
use super::words::{bar, cell, spoken};
use crate::document::{Document, Span, bold, code, italic, text};
use crate::record::{self, EndedBy, Extension, Outcome, Statement};
use crate::reply::{ProposalView, SeatView};
use crate::time::Reader;
use crate::verbs::board::Verdict;

impl ProposalView {
    /// The card as it stands: what is asked, who has voted, and what happens if nothing is done.
    pub fn card(&self, reader: &Reader<'_>) -> Document {
        let mut document = Document::new().heading([text(format!("{} · {}", self.id, self.title))]);
        if let Some(body) = &self.text {
            document = document.folded("The proposal in full", Document::text(body.clone()));
        }
        let kind = spoken(self.kind.as_str());
        document = document.paragraph([
            text("Proposed by "),
            bold(&self.proposer),
            text(format!(" ({kind})")),
        ]);
        if let Some(before) = &self.supersedes {
            document = document.paragraph([text("In the place of "), code(before)]);
        }
        if let Some(effect) = &self.effect_text {
            document = document.paragraph([bold("If it passes: "), text(effect)]);
        }
        document = document
            .table(
                ["Seat", "Holder", "Weight", "Vote"],
                self.seats.iter().map(row),
            )
            .paragraph([text(self.standing())])
            .list(demands(self).into_iter().map(|d| vec![text(d)]));
        if self.state == "open" {
            document
                .paragraph(vec![text(self.ahead(reader))])
                .paragraph(self.legend())
        } else {
            document.paragraph(self.closed())
        }
    }

    /// Reminds those who have not voted.
    pub fn reminder(&self, reader: &Reader<'_>) -> Document {
        Document::new().paragraph([
            text("⏳ "),
            bold(&self.id),
            text(format!(": {}. {}", self.title, self.ahead(reader))),
        ])
    }

    /// The decision: outcome, tally, dissent, effect, and the hashes that `board verify` compares.
    pub fn decided(&self) -> Document {
        let mark = match self.state.as_str() {
            "rejected" => "❌",
            "superseded" => "↪",
            _ => "✅",
        };
        let mut document = Document::new()
            .paragraph([
                text(format!("{mark} ")),
                bold(format!("{} {}", self.id, spoken(&self.state))),
                text(format!(": {}", self.title)),
            ])
            .paragraph([text(format!("{} {}", self.ending(), self.standing()))])
            .list(self.dissent());
        if let Some(effect) = &self.effect_text {
            let became = match (self.state.as_str(), &self.effect_outcome) {
                (_, Some(became)) => became.clone(),
                ("approved_with_conditions", None) => "did not run: the conditions come first; meet them with !board amend and vote again".to_owned(),
                (_, None) => "did not run".to_owned(),
            };
            document = document.paragraph([bold("Effect: "), text(format!("{effect} ({became})"))]);
        }
        if let Some(decision) = &self.decision {
            document = document.paragraph([italic("decision "), code(decision.id)]);
        }
        document.paragraph([
            italic("proposal "),
            code(&self.hash),
            italic(" head "),
            code(&self.head),
        ])
    }

    fn legend(&self) -> Vec<Span> {
        vec![
            text("Vote with ✅ for, ❌ against or 🤷 abstain on this message, reply with "),
            code("approve because ..."),
            text(", or type "),
            code(format!("!board vote {} approve", self.id)),
            text(". To take a vote back, remove the reaction or the message."),
        ]
    }

    fn closed(&self) -> Vec<Span> {
        let mut spans = vec![bold(format!("Closed: {}.", spoken(&self.state)))];
        if let Some(after) = &self.superseded_by {
            spans.extend([text(" The vote goes on as "), code(after), text(".")]);
        }
        spans
    }

    /// Who is missing, and what happens if nothing is done.
    fn ahead(&self, reader: &Reader<'_>) -> String {
        let missing: Vec<String> = self.missing().map(|s| s.seat.title.to_string()).collect();
        let waiting = if missing.is_empty() {
            String::new()
        } else {
            format!("Waiting for {}. ", missing.join(", "))
        };
        let outcome = self.if_nothing.map_or("", record::Outcome::as_str);
        if let Some(at) = self.ends_early_at {
            return format!(
                "{waiting}Nothing that is still to be cast can change it: it ends {} as {} unless a ballot is changed.",
                reader.clock(at),
                spoken(outcome)
            );
        }
        let late = match self.extended {
            Some(Extension::LateQuorum) => " (extended: the quorum came late)",
            Some(Extension::RoomUnread) => " (extended: this room could not be read in time)",
            None => "",
        };
        format!(
            "{waiting}If nothing more is cast it ends {}{late}: {}.",
            reader.clock(self.ends_at),
            spoken(outcome)
        )
    }

    /// The seats that may vote and have not.
    pub fn missing(&self) -> impl Iterator<Item = &SeatView> {
        self.seats
            .iter()
            .filter(|s| s.verdict.is_none() && !s.suspended)
    }

    fn standing(&self) -> String {
        let t = &self.tally;
        let share = u64::from(t.cast) * 100 / u64::from(t.total.max(1));
        let reached = u64::from(t.cast) * 100 >= u64::from(t.total) * u64::from(self.rule.quorum);
        format!(
            "{} Cast: {} of {} (quorum {} %{}). For {}, conditional {}, against {}, abstained {}.",
            bar(u8::try_from(share).unwrap_or(100)),
            t.cast,
            t.total,
            self.rule.quorum,
            if reached { ", reached" } else { "" },
            t.approve,
            t.conditional,
            t.reject,
            t.abstain
        )
    }

    fn ending(&self) -> String {
        let Some(decision) = &self.decision else {
            return String::new();
        };
        let who = decision.closed_by.as_deref().unwrap_or("an operator");
        let reason = decision
            .reason
            .as_ref()
            .map(|r| format!(": {r}"))
            .unwrap_or_default();
        match decision.ended_by {
            EndedBy::Time if decision.by_default => {
                "Voting has ended without a quorum, so the default holds.".to_owned()
            }
            EndedBy::Time => "Voting has ended.".to_owned(),
            EndedBy::Settled => "Nothing could change the outcome any more.".to_owned(),
            EndedBy::Operator => format!("Ended by {who}{reason}."),
            EndedBy::Amended => format!("Amended by {who}{reason}."),
        }
    }

    fn dissent(&self) -> Vec<Vec<Span>> {
        let against = |s: &&SeatView| {
            matches!(
                s.verdict,
                Some(Verdict::Reject | Verdict::Veto | Verdict::Conditional)
            )
        };
        let said = |s: &SeatView| {
            let verdict = s.verdict.map_or("", Verdict::as_str);
            let reason = s.statement.reason.as_deref().unwrap_or("no reason given");
            vec![bold(&s.seat.title), text(format!(" ({verdict}): {reason}"))]
        };
        self.seats.iter().filter(against).map(said).collect()
    }
}

impl SeatView {
    /// A structured review, folded, for the card's thread.
    pub fn review(&self) -> Document {
        let verdict = self.verdict.map_or("", Verdict::as_str);
        let confidence = self
            .confidence
            .map(|c| format!(", {c} % sure"))
            .unwrap_or_default();
        let head = Document::new().paragraph([
            text("📋 "),
            bold(&self.seat.title),
            text(format!(" ({verdict}{confidence})")),
            text(
                self.statement
                    .reason
                    .as_ref()
                    .map(|r| format!(": {r}"))
                    .unwrap_or_default(),
            ),
        ]);
        head.folded("The review", points(&self.statement))
    }
}

fn points(statement: &Statement) -> Document {
    let parts = [
        ("Concerns", &statement.concerns),
        ("Recommendations", &statement.recommendations),
        ("Key risks", &statement.key_risks),
    ];
    parts
        .into_iter()
        .filter(|(_, points)| !points.is_empty())
        .fold(Document::new(), |document, (name, points)| {
            document
                .paragraph([bold(name)])
                .list(points.iter().map(|p| vec![text(p)]))
        })
}

/// What the rule asks for besides quorum and majority, one sentence each.
pub(super) fn demands(view: &ProposalView) -> Vec<String> {
    let rule = &view.rule;
    let mut all = Vec::new();
    match rule.threshold {
        record::Threshold::Majority => {}
        record::Threshold::AtLeast { of, out_of } if of == out_of => {
            all.push("It passes only if nobody is against it.".to_owned());
        }
        record::Threshold::AtLeast { of, out_of } => all.push(format!(
            "It passes with {of} of {out_of} of what is cast for and against."
        )),
    }
    if rule.principals > 1 {
        all.push(format!(
            "{} different voters must be for it.",
            rule.principals
        ));
    }
    if rule.two_keys {
        all.push("Two voters other than the proposer must approve.".to_owned());
    }
    if view.human_required {
        all.push("A person must approve: so much money is at stake.".to_owned());
    }
    if rule.default == record::Default::Approved {
        all.push("If nobody objects it passes at the end.".to_owned());
    }
    all
}

fn row(view: &SeatView) -> [Vec<Span>; 4] {
    let mut vote = vec![match view.verdict {
        Some(verdict) => bold(format!("{} {verdict}", sign(verdict))),
        None => italic("not yet"),
    }];
    if let Some(reason) = &view.statement.reason {
        vote.push(text(format!(": {}", shortened(reason))));
    }
    [
        vec![text(title(view))],
        vec![holder(&view.seat.holder)],
        cell(view.seat.weight),
        vote,
    ]
}

/// The longest reason on a card, in characters; `board show` has it in full.
const REASON: usize = 160;

fn shortened(reason: &str) -> String {
    if reason.chars().count() <= REASON {
        return reason.to_owned();
    }
    let head: String = reason.chars().take(REASON).collect();
    format!("{head}…")
}

const fn sign(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Approve => "✅",
        Verdict::Reject => "❌",
        Verdict::Abstain => "⚪",
        Verdict::Veto => "⛔",
        Verdict::Conditional => "🟡",
    }
}

impl Outcome {
    /// The outcome as people say it.
    pub fn words(self) -> String {
        spoken(self.as_str())
    }
}
