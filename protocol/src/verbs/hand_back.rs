//! What there is of a task that its holder cannot finish.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scalar::{Note, ScalarError};

/// A partial result: enough for the next holder to go on. How large it may be is a rule of the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HandBack {
    /// What came out so far, in a few lines.
    pub summary: Note,
    /// What is done, one line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub done: Vec<Note>,
    /// What remains, one line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remains: Vec<Note>,
    /// Where it is: branches, files, addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artefacts: Vec<Note>,
}

/// Why a text is no partial result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandBackError {
    /// The summary.
    #[error("{0}")]
    Summary(#[from] ScalarError),
    /// The JSON.
    #[error(
        "is no partial result ({0}); write a sentence, or {{\"summary\": \"...\", \"done\": [], \"remains\": [], \"artefacts\": []}}"
    )]
    Json(String),
}

impl FromStr for HandBack {
    type Err = HandBackError;

    /// Reads JSON, or a summary alone.
    fn from_str(text: &str) -> Result<Self, HandBackError> {
        if text.trim_start().starts_with('{') {
            return serde_json::from_str(text).map_err(|e| HandBackError::Json(e.to_string()));
        }
        Ok(Self {
            summary: text.parse()?,
            done: Vec::new(),
            remains: Vec::new(),
            artefacts: Vec::new(),
        })
    }
}

/// As an agent or a person reads it.
impl fmt::Display for HandBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.summary.as_str())?;
        for (what, lines) in [
            ("Done", &self.done),
            ("Remains", &self.remains),
            ("Artefacts", &self.artefacts),
        ] {
            if lines.is_empty() {
                continue;
            }
            write!(f, "\n{what}:")?;
            for line in lines {
                write!(f, "\n- {line}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_a_summary_and_json_is_all_of_it() {
        let short: HandBack = "The parser stands".parse().unwrap();
        assert_eq!(short.to_string(), "The parser stands");
        let json = r#"{"summary": "Half", "done": ["parser"], "remains": ["tests", "docs"], "artefacts": ["branch t5"]}"#;
        let long: HandBack = json.parse().unwrap();
        assert_eq!(
            long.to_string(),
            "Half\nDone:\n- parser\nRemains:\n- tests\n- docs\nArtefacts:\n- branch t5"
        );
    }

    #[test]
    fn what_is_wrong_with_it_is_said() {
        for (text, said) in [
            ("", "is empty"),
            ("{\"done\": []}", "missing field `summary`"),
            ("{\"summary\": \"x\", \"todo\": []}", "unknown field `todo`"),
            ("{\"summary\": \"\"}", "is empty"),
        ] {
            let error = text.parse::<HandBack>().unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
