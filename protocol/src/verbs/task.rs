//! Tasks: their life from `pending` to an end, under leases with an epoch (doctrine 11, 12).

use super::gate::Gate;
use super::hand_back::HandBack;
use super::{args, words};
use crate::ids::{MissionRef, TaskRef};
use crate::scalar::{Brief, Count, Name, Note, Percent, Title};
use crate::time::Length;

words! {
    /// State of a task; the fleet's task schema plus blocked, queued, budget_paused and cancelled.
    TaskStatus {
        /// Waits to be claimed, or for what it depends on.
        Pending = "pending",
        /// Claimed under a lease.
        Running = "running",
        /// Its work is done, its gates are not.
        Gated = "gated",
        /// Done.
        Completed = "completed",
        /// Ended without success, all attempts used.
        Failed = "failed",
        /// Handed to a person.
        Escalated = "escalated",
        /// Held by somebody, with a reason.
        Blocked = "blocked",
        /// Waits for budget.
        Queued = "queued",
        /// Stopped by budget, its partial result kept.
        BudgetPaused = "budget_paused",
        /// Given up.
        Cancelled = "cancelled",
    }
}
words! {
    /// Kind of work.
    TaskType {
        /// Writing code.
        Coding = "coding",
        /// Bringing something into service.
        Deploy = "deploy",
        /// Finding out.
        Research = "research",
        /// Judging the work of others.
        Review = "review",
        /// Writing documentation.
        Documentation = "documentation",
        /// Machines and pipelines.
        Infrastructure = "infrastructure",
    }
}

args! {
    /// Add a task
    Add {
        /// What is to be done, in one line
        #[arg(allow_hyphen_values = true)]
        title: Title,
        /// The brief in full
        #[arg(long, allow_hyphen_values = true)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        brief: Option<Brief>,
        /// The mission it belongs to
        #[arg(long)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mission: Option<MissionRef>,
        /// Kind of work (default: coding)
        #[arg(long = "type", value_enum, value_name = "TYPE")]
        #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
        task_type: Option<TaskType>,
        /// The role that may claim it (default: code)
        #[arg(long)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        role: Option<Name>,
        /// Higher is sooner, 0 to 100 (default: 50)
        #[arg(long, value_name = "N")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        priority: Option<Percent>,
        /// Tasks that must be done first; repeat, or separate by commas
        #[arg(long, value_name = "TASK", value_delimiter = ',')]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        depends_on: Vec<TaskRef>,
        /// The provider account that pays for it
        #[arg(long)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        provider: Option<Name>,
        /// Projected spend in tokens
        #[arg(long, value_name = "N")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        projected_tokens: Option<Count>,
        /// The model it asks for; pacing and the cap may lower it along the ladder
        #[arg(long)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<Name>,
        /// No other model will do
        #[arg(long, requires = "model")]
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        pin_model: bool,
        /// How long pacing may make it wait before its model is lowered instead (default: 30m)
        #[arg(long, value_name = "LENGTH")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_wait: Option<Length>,
        /// How often it may be tried (default: 3)
        #[arg(long, value_name = "N")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_attempts: Option<Count>,
        /// A check that must pass before it is completed: a name and a command line; repeat for each
        #[arg(long = "gate", value_name = "NAME=COMMAND")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        gates: Vec<Gate>,
    }
}
args! {
    /// List tasks: open ones, or those in one state
    List {
        /// Only this state
        #[arg(long, value_enum)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<TaskStatus>,
        /// Only this mission
        #[arg(long)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mission: Option<MissionRef>,
        /// Only what may be claimed now
        #[arg(long)]
        #[serde(default)]
        ready: bool,
        /// Only what you hold
        #[arg(long)]
        #[serde(default)]
        mine: bool,
        /// At most this many (default: 20, at most 200)
        #[arg(long, value_name = "N")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<Count>,
    }
}
args! {
    /// Show a task and its history
    Show {
        /// The task, for example t142
        #[arg(value_name = "TASK")]
        task: TaskRef,
    }
}
args! {
    /// Take a task: this one, or the next ready one
    Claim {
        /// The task (default: the next ready one of your role)
        #[arg(value_name = "TASK")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        task: Option<TaskRef>,
    }
}
args! {
    /// Let a waiting task start past pacing and queue, never past the cap
    Start {
        /// The task
        #[arg(value_name = "TASK")]
        task: TaskRef,
        /// At once
        #[arg(long, required = true)]
        now: bool,
    }
}
args! {
    /// Keep a task for another lease
    Renew {
        /// The task
        #[arg(value_name = "TASK")]
        task: TaskRef,
    }
}
args! {
    /// Say how far a task is
    Progress {
        /// The task
        #[arg(value_name = "TASK")]
        task: TaskRef,
        /// How much is done, 0 to 100
        #[arg(long, value_name = "N")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        percent: Option<Percent>,
        /// What happened
        #[arg(long, allow_hyphen_values = true)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<Note>,
    }
}
args! {
    /// Finish a task with its result
    Complete {
        /// The task
        #[arg(value_name = "TASK")]
        task: TaskRef,
        /// What came out, in a few lines
        #[arg(long, allow_hyphen_values = true)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        summary: Option<Note>,
        /// Actual spend in tokens, when no spend was reported
        #[arg(long, value_name = "N", conflicts_with = "unknown_spend")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tokens: Option<Count>,
        /// Why the actual spend is unknown; the whole grant is charged
        #[arg(long, value_name = "REASON", allow_hyphen_values = true)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unknown_spend: Option<Note>,
        /// Files that changed; repeat for each
        #[arg(long = "file", value_name = "PATH")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        files_changed: Vec<Note>,
    }
}
args! {
    /// Give a task up as failed; it is retried while attempts are left
    Fail {
        /// The task
        #[arg(value_name = "TASK")]
        task: TaskRef,
        /// Why
        #[arg(long, allow_hyphen_values = true)]
        reason: Note,
    }
}
args! {
    /// Hold a task back with a reason
    Block {
        /// The task
        #[arg(value_name = "TASK")]
        task: TaskRef,
        /// Why
        #[arg(long, allow_hyphen_values = true)]
        reason: Note,
    }
}
args! {
    /// Let a blocked task go on
    Unblock {
        /// The task
        #[arg(value_name = "TASK")]
        task: TaskRef,
    }
}
args! {
    /// Hand a claimed task back, with what there is so far
    Release {
        /// The task
        #[arg(value_name = "TASK")]
        task: TaskRef,
        /// Why
        #[arg(long, allow_hyphen_values = true)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Note>,
        /// What there is so far: a sentence, or JSON with summary, done, remains and artefacts
        #[arg(long, value_name = "RESULT", allow_hyphen_values = true)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        result: Option<HandBack>,
    }
}
args! {
    /// Ask the operators: this cannot go on without a person; the task waits for their answer
    Escalate {
        /// The task
        #[arg(value_name = "TASK")]
        task: TaskRef,
        /// What is needed, so that somebody who knows nothing of it can decide
        #[arg(long, allow_hyphen_values = true)]
        reason: Note,
        /// What there is so far: a sentence, or JSON with summary, done, remains and artefacts
        #[arg(long, value_name = "RESULT", allow_hyphen_values = true)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        result: Option<HandBack>,
    }
}
args! {
    /// Answer an escalated task: it goes on, and the answer goes with it
    Answer {
        /// The task
        #[arg(value_name = "TASK")]
        task: TaskRef,
        /// The answer
        #[arg(value_name = "WORDS", allow_hyphen_values = true)]
        text: Note,
    }
}
args! {
    /// Give a task up for good
    Cancel {
        /// The task
        #[arg(value_name = "TASK")]
        task: TaskRef,
        /// Why
        #[arg(long, allow_hyphen_values = true)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Note>,
    }
}
args! {
    /// Make a failed, escalated or cancelled task ready again
    Retry {
        /// The task
        #[arg(value_name = "TASK")]
        task: TaskRef,
    }
}
args! {
    /// Make a task wait for another, or stop waiting
    Depend {
        /// The task that waits
        #[arg(value_name = "TASK")]
        task: TaskRef,
        /// The task to wait for
        #[arg(long, value_name = "TASK")]
        on: TaskRef,
        /// Remove the dependency instead
        #[arg(long)]
        #[serde(default)]
        remove: bool,
    }
}
args! {
    /// Change how soon a task is taken up
    SetPriority {
        /// The task
        #[arg(value_name = "TASK")]
        task: TaskRef,
        /// 0 to 100, higher sooner
        #[arg(value_name = "N")]
        priority: Percent,
    }
}
