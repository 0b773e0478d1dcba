//! How much of a task that is not done goes on to its next holder: enough to go on, not the whole of a context.

use fleet_protocol::Problem;
use fleet_protocol::problem::Code;
use fleet_protocol::verbs::hand_back::HandBack;

/// Lines of each kind.
pub const LINES: usize = 50;
/// Characters in all.
pub const CHARACTERS: usize = 12_000;

/// Refuses a partial result that is too large.
///
/// # Errors
/// [`Code::Invalid`], with what is too much.
pub fn check(result: &HandBack) -> Result<(), Problem> {
    let kinds = [
        ("done", &result.done),
        ("remains", &result.remains),
        ("artefacts", &result.artefacts),
    ];
    let too_large = |detail: String| {
        Problem::new(Code::Invalid, detail)
            .remedy("put it into a file or a branch, and name that as an artefact")
    };
    if let Some((kind, lines)) = kinds.iter().find(|(_, lines)| lines.len() > LINES) {
        return Err(too_large(format!(
            "{kind} has {} lines; at most {LINES} are kept",
            lines.len()
        )));
    }
    let characters = |text: &str| text.chars().count();
    let all: usize = kinds
        .iter()
        .flat_map(|(_, lines)| lines.iter())
        .map(|line| characters(line.as_str()))
        .sum();
    let all = all + characters(result.summary.as_str());
    if all > CHARACTERS {
        return Err(too_large(format!(
            "the partial result has {all} characters; at most {CHARACTERS} are kept"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(lines: usize, length: usize) -> HandBack {
        HandBack {
            summary: "Half".parse().unwrap(),
            done: Vec::new(),
            remains: vec!["x".repeat(length).parse().unwrap(); lines],
            artefacts: Vec::new(),
        }
    }

    #[test]
    fn lines_and_characters_are_bounded() {
        for (lines, length, said) in [
            (50, 100, None),
            (51, 1, Some("remains has 51 lines")),
            (6, 1_999, None),
            (6, 2_000, Some("12004 characters")),
        ] {
            let checked = check(&result(lines, length)).map_err(|p| p.detail);
            match said {
                None => assert_eq!(checked, Ok(()), "{lines} {length}"),
                Some(said) => assert!(checked.unwrap_err().contains(said), "{lines} {length}"),
            }
        }
    }
}
