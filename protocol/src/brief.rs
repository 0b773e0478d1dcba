//! A brief: a Markdown file with YAML front matter that becomes a proposal.

use std::fmt::Display;
use std::str::FromStr;

use serde::Deserialize;

use crate::roster::{self, FileError};
use crate::verbs::board::{ProposalKind, Propose};

/// What may stand between the two lines of `---`; each as `board propose` takes it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FrontMatter {
    title: Option<String>,
    kind: Option<ProposalKind>,
    effect: Option<String>,
    #[serde(alias = "closesAt")]
    closes_at: Option<String>,
    seats: Vec<String>,
    quorum: Option<u8>,
    threshold: Option<String>,
    template: Option<String>,
}

/// Reads a brief. Its title is that of the front matter, else its first heading; its text is
/// everything behind the front matter.
///
/// # Errors
/// With the key that does not fit, or `title` where there is none.
pub fn read(text: &str) -> Result<Propose, FileError> {
    let (yaml, body) = split(text)?;
    let front: FrontMatter = match yaml.trim() {
        "" => FrontMatter::default(),
        yaml => roster::read(yaml)?,
    };
    let body = body.trim();
    let title = match (&front.title, heading(body)) {
        (Some(title), _) => title.as_str(),
        (None, Some(heading)) => heading,
        (None, None) => {
            return Err(FileError::At {
                path: "title".into(),
                cause:
                    "missing; write it into the front matter, or begin the text with a # heading"
                        .into(),
            });
        }
    };
    let mut seats = Vec::with_capacity(front.seats.len());
    for (index, seat) in front.seats.iter().enumerate() {
        seats.push(value(&format!("seats[{index}]"), seat)?);
    }
    Ok(Propose {
        title: value("title", title)?,
        text: (!body.is_empty())
            .then(|| value("text", body))
            .transpose()?,
        kind: front.kind,
        effect: optional("effect", front.effect.as_ref())?,
        closes_at: optional("closes_at", front.closes_at.as_ref())?,
        seats,
        quorum: optional("quorum", front.quorum.map(|q| q.to_string()).as_ref())?,
        threshold: optional("threshold", front.threshold.as_ref())?,
        template: optional("template", front.template.as_ref())?,
    })
}

/// Front matter and the rest; a file without front matter is all text.
fn split(text: &str) -> Result<(&str, &str), FileError> {
    let text = text.trim_start_matches('\u{feff}');
    let Some(rest) = text.strip_prefix("---\n").or(text.strip_prefix("---\r\n")) else {
        return Ok(("", text));
    };
    let mut end = 0;
    for line in rest.split_inclusive('\n') {
        if line.trim_end() == "---" {
            return Ok((&rest[..end], &rest[end + line.len()..]));
        }
        end += line.len();
    }
    Err(FileError::At {
        path: "front matter".into(),
        cause: "it is never closed; end it with a line of ---".into(),
    })
}

fn heading(body: &str) -> Option<&str> {
    let first = body.lines().next()?;
    first.strip_prefix("# ").map(str::trim)
}

fn value<T: FromStr>(path: &str, text: &str) -> Result<T, FileError>
where
    T::Err: Display,
{
    text.parse().map_err(|e: T::Err| FileError::At {
        path: path.to_owned(),
        cause: format!("it {e}"),
    })
}

fn optional<T: FromStr>(path: &str, text: Option<&String>) -> Result<Option<T>, FileError>
where
    T::Err: Display,
{
    text.map(|text| value(path, text)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn front_matter_and_text_become_a_proposal() {
        let brief = "---\ntitle: Ship 1.0\nkind: goal\neffect: mission new \"Ship 1.0\"\ncloses_at: +24h\nseats: [\"cto=@dana:example.org*2\"]\nquorum: 60\nthreshold: 2/3\ntemplate: forge\n---\n\n# Why\n\nIt is ready.\n";
        let read = read(brief).unwrap();
        assert_eq!(read.title.as_str(), "Ship 1.0");
        assert_eq!(read.text.unwrap().as_str(), "# Why\n\nIt is ready.");
        assert_eq!(read.kind, Some(ProposalKind::Goal));
        assert_eq!(read.effect.unwrap().0.name(), "mission.new");
        assert_eq!((read.seats.len(), read.seats[0].weight), (1, 2));
        assert_eq!(read.template.unwrap().as_str(), "forge");
    }

    #[test]
    fn without_front_matter_the_first_heading_is_the_title() {
        let read = read("# Shall we?\n\nI think so.").unwrap();
        assert_eq!(read.title.as_str(), "Shall we?");
        assert!(read.effect.is_none() && read.seats.is_empty());
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let cases = [
            ("", "title"),
            ("text alone", "title"),
            ("---\ntitle: x\n", "front matter"),
            ("---\ntitle: x\ncolour: red\n---\n", "colour"),
            ("---\ntitle: x\neffect: status\n---\n", "effect"),
            ("---\ntitle: x\nseats: [\"nobody\"]\n---\n", "seats[0]"),
            ("---\ntitle: x\nquorum: 101\n---\n", "quorum"),
            ("---\ntitle: x\nthreshold: 3/2\n---\n", "threshold"),
        ];
        for (brief, named) in cases {
            let error = read(brief).unwrap_err().to_string();
            assert!(error.contains(named), "{brief:?}: {error}");
        }
        let long = format!("# x\n{}", "y".repeat(60 * 1024));
        assert!(
            read(&long)
                .unwrap_err()
                .to_string()
                .starts_with("text: it has")
        );
    }
}
