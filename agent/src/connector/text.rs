//! Text on its way into a terminal, and what a terminal shows: pure functions.

use std::iter::Peekable;
use std::str::Chars;

/// The text without anything a terminal obeys: no escape sequence, no control character, nothing that
/// turns the direction of writing. Line breaks stay, or become a mark where a line break would be
/// taken for the key.
pub(crate) fn plain(text: &str, keep_lines: bool) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\u{1b}' => skip_escape(&mut rest),
            '\u{9b}' => skip_parameters(&mut rest),
            '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => skip_string(&mut rest),
            '\r' => {}
            '\n' if keep_lines => kept.push('\n'),
            '\n' => kept.push_str(" ⏎ "),
            '\t' => kept.push(' '),
            c if c.is_control() || turns(c) => {}
            c => kept.push(c),
        }
    }
    kept.trim().to_owned()
}

/// Characters that turn or hide what stands beside them (Unicode, "Bidirectional Algorithm", 2).
const fn turns(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Behind an escape character: a sequence of its own length (ECMA-48, 5.3 to 5.6).
fn skip_escape(rest: &mut Peekable<Chars<'_>>) {
    match rest.peek() {
        Some('[') => {
            rest.next();
            skip_parameters(rest);
        }
        Some('P' | 'X' | ']' | '^' | '_') => {
            rest.next();
            skip_string(rest);
        }
        _ => {
            // Intermediate characters, then one final.
            while rest.next_if(|c| matches!(c, ' '..='/')).is_some() {}
            rest.next_if(|c| matches!(c, '0'..='~'));
        }
    }
}

/// Parameters of a control sequence, and its final character.
fn skip_parameters(rest: &mut Peekable<Chars<'_>>) {
    while rest.next_if(|c| matches!(c, ' '..='?')).is_some() {}
    rest.next_if(|c| matches!(c, '@'..='~'));
}

/// A control string up to its end; without one, to the end of the text.
fn skip_string(rest: &mut Peekable<Chars<'_>>) {
    while let Some(c) = rest.next() {
        match c {
            '\u{7}' | '\u{9c}' => return,
            '\u{1b}' => {
                rest.next_if_eq(&'\\');
                return;
            }
            _ => {}
        }
    }
}

/// What stands in a line of input: `>` of Claude Code, `›` of Codex, `❯`, and a shell's `$`, `#`, `%`.
const LEADING: [char; 3] = ['>', '›', '❯'];
const TRAILING: [&str; 3] = ["$ ", "# ", "% "];

/// The draft that somebody has typed and not sent, if the screen shows one. `screen` has the attributes
/// of the characters, as `capture-pane -e` writes them: what is dim is a hint of the program, no draft.
/// `cursor` is the cursor's line, counted from the top.
pub(super) fn draft(screen: &str, cursor: usize) -> Option<String> {
    let lines: Vec<String> = screen.lines().map(bright).collect();
    let boxed = lines.iter().rev().find_map(|line| {
        let inner = line.trim_matches(|c: char| c.is_whitespace() || matches!(c, '│' | '┃' | '|'));
        inner.strip_prefix(LEADING)
    });
    let typed = boxed.or_else(|| {
        let line = lines.get(cursor)?;
        let line = line.trim_end_matches('\0');
        let ends = TRAILING
            .iter()
            .filter_map(|mark| Some(line.find(mark)? + mark.len()));
        line.get(ends.min()?..)
    })?;
    let typed = typed.trim();
    (!typed.is_empty()).then(|| typed.to_owned())
}

/// A line of the screen without attributes and without what is dim.
fn bright(line: &str) -> String {
    let mut kept = String::new();
    let mut dim = false;
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        if !dim {
            kept.push_str(before);
        }
        let end = after
            .find(|c: char| matches!(c, '@'..='~'))
            .unwrap_or(after.len());
        let (parameters, behind) = after.split_at(end);
        if behind.starts_with('m') {
            dim = dims(parameters, dim);
        }
        rest = behind.get(1..).unwrap_or_default();
    }
    if !dim {
        kept.push_str(rest);
    }
    kept
}

/// Whether characters are dim after these attributes: 2 dims, 0 and 22 end it.
fn dims(parameters: &str, before: bool) -> bool {
    let mut parts = parameters.split(';');
    let mut dim = before;
    while let Some(part) = parts.next() {
        match part {
            "2" => dim = true,
            "" | "0" | "22" => dim = false,
            // A colour: `38;5;N` or `38;2;R;G;B`; its numbers are no attributes.
            "38" | "48" | "58" => {
                let numbers = if parts.next() == Some("2") { 3 } else { 1 };
                parts.by_ref().take(numbers).for_each(drop);
            }
            _ => {}
        }
    }
    dim
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sequences_go_as_a_whole_and_text_stays() {
        for (given, kept) in [
            ("plain äöü 漢字 👍", "plain äöü 漢字 👍"),
            ("a\u{1b}[31mred\u{1b}[0m b", "ared b"),
            ("out\u{1b}[201~\u{3}of the paste", "outof the paste"),
            ("\u{1b}]0;title\u{7}after", "after"),
            ("\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{1b}\\", "link"),
            ("\u{1b}Pq#0;2\u{1b}\\sixel", "sixel"),
            ("\u{9b}31mred \u{9d}0;t\u{9c}end", "red end"),
            ("\u{1b}(Bcharset \u{1b}creset", "charset reset"),
            (
                "bell\u{7} back\u{8}space del\u{7f} nul\0",
                "bell backspace del nul",
            ),
            ("turn\u{202e}ed\u{2069}", "turned"),
            ("tab\there\r\nline", "tab here\nline"),
            ("\u{1b}]never ended", ""),
            ("\u{1b}", ""),
        ] {
            assert_eq!(plain(given, true), kept, "{given:?}");
        }
        assert_eq!(plain("one\ntwo", false), "one ⏎ two");
    }

    proptest! {
        #[test]
        fn nothing_a_terminal_obeys_is_ever_left(text in "(\\PC|\u{1b}|\u{9b}|\u{90}|[\\[\\]P0-9;m~\\\\\u{7}\n\r\t])*") {
            let kept = plain(&text, false);
            prop_assert!(!kept.chars().any(|c| c.is_control() || turns(c)), "{kept:?}");
            prop_assert_eq!(plain(&kept, false), kept.clone());
        }
    }

    #[test]
    fn a_draft_is_seen_and_a_hint_is_none() {
        let claude = |typed: &str| {
            format!("● Done.\n\n╭──────╮\n│ > {typed}   │\n╰──────╯\n  ? for shortcuts\n")
        };
        assert_eq!(
            draft(&claude("fix the bu"), 5).as_deref(),
            Some("fix the bu")
        );
        assert_eq!(draft(&claude(""), 5), None);
        assert_eq!(draft(&claude("\u{1b}[2mTry \"edit x\"\u{1b}[0m"), 5), None);
        assert_eq!(
            draft(&claude("\u{1b}[38;5;2mgreen\u{1b}[39m"), 5).as_deref(),
            Some("green")
        );
        assert_eq!(
            draft("dana@box:~/x$ git st\n\n", 0).as_deref(),
            Some("git st")
        );
        assert_eq!(draft("dana@box:~/x$ \n\n", 0), None);
        assert_eq!(draft("bash-5.2# ls $ x", 0).as_deref(), Some("ls $ x"));
        assert_eq!(draft("old $ line\nno prompt\n", 1), None);
        assert_eq!(draft("", 0), None);
        assert_eq!(draft("\u{1b}[2", 0), None);
    }
}
