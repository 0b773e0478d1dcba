//! A page on a terminal: the alternate screen, left as it was found.

use std::io::Write as _;

use crate::error::CliError;

/// Room on a terminal, in characters.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    columns: usize,
    rows: usize,
}

impl Size {
    /// Where lines may be as long and as many as they are.
    pub(super) const ENDLESS: Self = Self {
        columns: usize::MAX,
        rows: usize::MAX,
    };

    /// Of standard output; a usual one where it does not say.
    pub(super) fn of_terminal() -> Self {
        let (columns, rows) =
            terminal_size::terminal_size().map_or((80, 24), |(width, height)| (width.0, height.0));
        Self {
            columns: columns.into(),
            rows: rows.into(),
        }
    }
}

/// The alternate screen without a cursor (xterm, "Private modes" 1049 and 25); what was there before comes
/// back when this ends.
pub(super) struct Screen(());

impl Screen {
    pub(super) fn enter() -> Result<Self, CliError> {
        write("\u{1b}[?1049h\u{1b}[?25l")?;
        Ok(Self(()))
    }

    /// Shows these lines and nothing else; what stays the same does not flicker.
    pub(super) fn show(&mut self, lines: &[String]) -> Result<(), CliError> {
        let lines = lines.join("\u{1b}[K\r\n");
        write(&format!("\u{1b}[H{lines}\u{1b}[K\u{1b}[J"))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Nobody is left to see when the terminal is gone.
        let _ = write("\u{1b}[?25h\u{1b}[?1049l");
    }
}

fn write(text: &str) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(CliError::Output)
}

/// Blocks of text as lines that fit, one empty line between two blocks; says what did not fit.
pub(super) fn fit(blocks: &[String], size: Size) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for block in blocks {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.extend(block.lines().map(|line| cut(line, size.columns)));
    }
    if lines.len() > size.rows {
        let kept = size.rows.saturating_sub(1);
        let hidden = lines.len() - kept;
        lines.truncate(kept);
        lines.push(cut(&format!("… {hidden} lines more"), size.columns));
    }
    lines
}

/// The start of a line, without anything that a terminal obeys.
fn cut(line: &str, columns: usize) -> String {
    let mut characters = line.chars().filter(|c| !c.is_control());
    let kept: String = characters.by_ref().take(columns).collect();
    if characters.next().is_none() {
        return kept;
    }
    let start: String = kept.chars().take(columns.saturating_sub(1)).collect();
    format!("{start}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fitted(blocks: &[&str], columns: usize, rows: usize) -> Vec<String> {
        let blocks: Vec<_> = blocks.iter().map(ToString::to_string).collect();
        fit(&blocks, Size { columns, rows })
    }

    #[test]
    fn blocks_stand_apart_and_long_lines_are_cut() {
        assert_eq!(
            fitted(&["one\ntwo", "a line that is long"], 10, 9),
            ["one", "two", "", "a line th…"]
        );
        assert_eq!(
            fitted(&["exactly ten", "äöü"], 11, 9),
            ["exactly ten", "", "äöü"]
        );
    }

    #[test]
    fn what_does_not_fit_is_said() {
        assert_eq!(fitted(&["1\n2\n3\n4"], 20, 3), ["1", "2", "… 2 lines more"]);
        assert_eq!(fitted(&["1\n2\n3"], 20, 3), ["1", "2", "3"]);
        assert!(
            fitted(&["1\n2"], 0, 1)
                .iter()
                .all(|l| l.chars().count() <= 1)
        );
    }

    #[test]
    fn nothing_reaches_the_terminal_that_it_would_obey() {
        assert_eq!(fitted(&["a\u{1b}[2Jb\u{9b}1mc\tx"], 40, 3), ["a[2Jb1mcx"]);
    }
}
