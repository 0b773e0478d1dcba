//! Quality gates: what their results are worth under the lease in force.

use fleet_protocol::Problem;
use fleet_protocol::problem::Code;
use fleet_protocol::verbs::gate::{Gate, GateOutcome, GateResult, GateType};

/// Gates of one task, at most.
pub const MOST: usize = 20;

/// Refuses gates that could not be told apart, or that nobody would wait for.
///
/// # Errors
/// [`Code::Invalid`].
pub fn check(gates: &[Gate]) -> Result<(), Problem> {
    if gates.len() > MOST {
        let said = format!("{} gates are too many", gates.len());
        return Err(Problem::new(Code::Invalid, said).remedy(format!(
            "name at most {MOST}; one command may run several checks"
        )));
    }
    let twice = gates
        .iter()
        .enumerate()
        .find(|(n, gate)| gates.iter().take(*n).any(|g| g.name == gate.name));
    match twice {
        None => Ok(()),
        Some((_, gate)) => Err(Problem::new(
            Code::Invalid,
            format!("two gates are called {}", gate.name),
        )
        .remedy("give each gate a name of its own")),
    }
}

/// The results after these outcomes: the newest of each gate, of the lease in force only.
///
/// # Errors
/// [`Code::NotFound`] for an outcome of a gate that the task has not.
pub fn settle(
    gates: &[Gate],
    before: &[GateResult],
    outcomes: &[GateOutcome],
    epoch: u64,
) -> Result<Vec<GateResult>, Problem> {
    if let Some(unknown) = outcomes
        .iter()
        .find(|o| gates.iter().all(|g| g.name != o.name))
    {
        let names: Vec<_> = gates.iter().map(|g| g.name.as_str()).collect();
        let there_are = match names.as_slice() {
            [] => "the task has no gates".to_owned(),
            names => format!("the task's gates are: {}", names.join(", ")),
        };
        let said = format!("there is no gate {}", unknown.name);
        return Err(Problem::new(Code::NotFound, said).remedy(there_are));
    }
    let result = |gate: &Gate| {
        let newest = outcomes.iter().rev().find(|o| o.name == gate.name);
        match newest {
            Some(outcome) => Some(GateResult {
                name: gate.name.clone(),
                command: gate.command.clone(),
                gate_type: GateType::Mechanical,
                exit_code: outcome.exit_code,
                output: outcome.output.clone(),
                epoch,
            }),
            None => of(gate, before, epoch).cloned(),
        }
    };
    Ok(gates.iter().filter_map(result).collect())
}

/// What a gate came to under the lease in force.
fn of<'r>(gate: &Gate, results: &'r [GateResult], epoch: u64) -> Option<&'r GateResult> {
    results
        .iter()
        .find(|r| r.name == gate.name && r.epoch == epoch)
}

/// Refuses to complete a task of which a gate has not passed under the lease in force.
///
/// # Errors
/// [`Code::GateOpen`], with every gate that keeps the task from being completed.
pub fn passed(
    task: &str,
    gates: &[Gate],
    results: &[GateResult],
    epoch: u64,
) -> Result<(), Problem> {
    let open: Vec<_> = gates
        .iter()
        .map(|gate| (gate, of(gate, results, epoch)))
        .filter(|(_, result)| !result.is_some_and(GateResult::is_passed))
        .map(|(gate, result)| gate.told(result))
        .collect();
    if open.is_empty() {
        return Ok(());
    }
    let said = format!("{task} has gates that have not passed: {}", open.join(", "));
    Err(Problem::new(Code::GateOpen, said).remedy(format!(
        "run them where the work is: fleet agent gate {task}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gates(names: &[&str]) -> Vec<Gate> {
        names
            .iter()
            .map(|n| format!("{n}=true").parse().unwrap())
            .collect()
    }

    fn outcomes(all: &[&str]) -> Vec<GateOutcome> {
        all.iter().map(|o| o.parse().unwrap()).collect()
    }

    #[test]
    fn gates_have_names_of_their_own_and_are_few() {
        assert_eq!(check(&gates(&["tests", "lint"])), Ok(()));
        assert!(
            check(&gates(&["tests", "lint", "tests"]))
                .unwrap_err()
                .detail
                .contains("tests")
        );
        assert!(
            check(&gates(&["x"; MOST + 1]))
                .unwrap_err()
                .detail
                .contains("21")
        );
    }

    #[test]
    fn the_newest_result_counts_and_only_under_its_own_lease() {
        let all = gates(&["tests", "lint"]);
        assert_eq!(passed("t1", &[], &[], 1), Ok(()));
        let none = passed("t1", &all, &[], 1).unwrap_err();
        assert_eq!(none.code, Code::GateOpen);
        assert!(none.detail.ends_with("tests has not run, lint has not run"));

        let first = settle(&all, &[], &outcomes(&["tests=0", "lint=1"]), 1).unwrap();
        let failing = passed("t1", &all, &first, 1).unwrap_err();
        assert!(
            failing.detail.ends_with(": lint ended with 1"),
            "{failing:?}"
        );
        let second = settle(&all, &first, &outcomes(&["lint=1", "lint=0"]), 1).unwrap();
        assert_eq!(passed("t1", &all, &second, 1), Ok(()));
        assert!(passed("t1", &all, &second, 2).is_err());

        let later = settle(&all, &second, &outcomes(&["lint=0"]), 2).unwrap();
        assert_eq!(later.len(), 1, "what another lease came to is forgotten");
        assert!(
            passed("t1", &all, &later, 2)
                .unwrap_err()
                .detail
                .ends_with(": tests has not run")
        );
    }

    #[test]
    fn a_gate_that_the_task_has_not_is_refused_by_name() {
        let refused = settle(&gates(&["tests"]), &[], &outcomes(&["lint=0"]), 1).unwrap_err();
        assert_eq!(refused.code, Code::NotFound);
        assert!(refused.remedy.unwrap().ends_with("tests"));
        assert!(settle(&[], &[], &outcomes(&["lint=0"]), 1).is_err());
    }
}
