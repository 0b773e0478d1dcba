//! The task list and the mission manifest, as Markdown (doctrine 18).

use std::fmt::Write as _;

use crate::reply::{MissionReport, TaskView};
use crate::verbs::task::TaskStatus;

/// In front of every document: whoever edits it is told in vain.
const MADE: &str = "<!-- Made from the register by `fleet export`. Changes made here are lost. -->";

/// `TASKS.md`: one line for each task, in the order in which they would be taken up.
pub fn tasks(all: &[TaskView]) -> String {
    let mut page = format!("{MADE}\n\n# Tasks\n\n");
    table(&mut page, all);
    page
}

/// `MISSION-MANIFEST.md`: each mission with its goal, its tasks and its spend.
pub fn manifest(missions: &[MissionReport]) -> String {
    let mut page = format!("{MADE}\n\n# Mission manifest\n");
    for report in missions {
        let mission = &report.mission;
        let state = if mission.open { "open" } else { "closed" };
        let projected = mission
            .projected_tokens
            .map_or_else(|| "not projected".to_owned(), |n| n.to_string());
        let _ = write!(
            page,
            "\n## {}: {}\n\nState: {state}. Tokens: {projected} projected, {} spent.\n\n",
            mission.id,
            one_line(&mission.title),
            mission.actual_tokens
        );
        for text in [&mission.goal, &mission.summary].into_iter().flatten() {
            // A heading of the text's own would break the manifest's order.
            for line in text.lines() {
                let _ = writeln!(page, "> {line}");
            }
            page.push('\n');
        }
        table(&mut page, &report.tasks);
    }
    page
}

fn table(page: &mut String, all: &[TaskView]) {
    if all.is_empty() {
        page.push_str("No tasks.\n");
        return;
    }
    page.push_str(
        "| | task | title | status | role | priority | waits for | held by | projected | spent |\n",
    );
    page.push_str("|---|---|---|---|---|---|---|---|---|---|\n");
    rows(page, all);
    for (task, left) in all
        .iter()
        .filter_map(|t| Some((t, t.handed_back.as_ref()?)))
    {
        let _ = writeln!(page, "\n{}: {}", task.id, one_line(&left.told()));
    }
}

fn rows(page: &mut String, all: &[TaskView]) {
    for task in all {
        let done = if task.status == TaskStatus::Completed {
            "☑"
        } else {
            "☐"
        };
        let _ = writeln!(
            page,
            "| {done} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            task.id,
            one_line(&task.title),
            state(task),
            task.role,
            task.priority,
            task.waits_for.join(", "),
            task.holder.as_deref().unwrap_or_default(),
            task.projected_tokens
                .map(|n| n.to_string())
                .unwrap_or_default(),
            task.actual_tokens,
        );
    }
}

/// Its status and, where it has gates, how many of them have passed.
fn state(task: &TaskView) -> String {
    let passed = task
        .gates()
        .filter(|(_, result)| result.is_some_and(|r| r.is_passed()));
    match (passed.count(), task.quality_gates.len()) {
        (_, 0) => task.status.to_string(),
        (passed, all) => format!("{}, {passed} of {all} gates", task.status),
    }
}

/// A text that cannot leave its cell.
fn one_line(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('|', "\\|")
        .replace(['\n', '\t'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn report() -> MissionReport {
        serde_json::from_value(json!({
            "mission": {"id": "m1", "title": "Ship | it", "goal": "# By May.\nNot later.", "open": true,
                "tasks": [["completed", 1], ["pending", 1]], "projected_tokens": 900, "actual_tokens": 700},
            "tasks": [
                {"id": "t1", "title": "Write it", "status": "completed", "type": "coding", "role": "code", "priority": 50,
                    "attempts": 1, "max_attempts": 3, "projected_tokens": 500, "actual_tokens": 700},
                {"id": "t2", "title": "Read it", "status": "pending", "type": "review", "role": "review", "priority": 40,
                    "quality_gates": [{"name": "tests", "command": "cargo test"}, {"name": "lint", "command": "make lint"}],
                    "gate_results": [{"name": "tests", "command": "cargo test", "type": "mechanical", "exit_code": 0, "epoch": 1}],
                    "waits_for": ["t1"], "attempts": 1, "max_attempts": 3, "actual_tokens": 0,
                    "handed_back": {"by": "review-1", "at": "2026-11-27T07:20:00Z", "attempt": 1,
                        "result": {"summary": "Half | read", "remains": ["the tests"]}}}
            ]
        }))
        .unwrap()
    }

    #[test]
    fn a_manifest_holds_goal_tasks_and_spend() {
        insta::assert_snapshot!(manifest(&[report()]));
    }

    #[test]
    fn a_task_list_is_a_table_and_an_empty_one_says_so() {
        insta::assert_snapshot!(tasks(&report().tasks));
        assert!(tasks(&[]).ends_with("No tasks.\n"));
    }
}
