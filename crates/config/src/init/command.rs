//! Commands as they stand in other tools' files, and as Landfall will run them.

use std::collections::BTreeMap;

/// A command as it will be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    /// A program and its arguments.
    Words(Vec<String>),
    /// What only a shell can run.
    Shell(String),
}

/// By the word that starts a program: what starts the one that is packed.
pub(super) type Runs = BTreeMap<String, String>;

impl Command {
    pub(super) fn words<const N: usize>(words: [&str; N]) -> Self {
        Self::Words(words.iter().map(|word| (*word).to_owned()).collect())
    }

    /// A line as a shell would read it, without the shell where that is the same.
    pub(super) fn line(text: &str) -> Self {
        let text = text.trim();
        match crate::decode::split_words(text) {
            Some(words) if !words.is_empty() => Self::Words(words),
            _ if several(text) || text.starts_with("exec ") => Self::Shell(text.to_owned()),
            // `exec` puts the program in the shell's place, so that it gets the stop signal. It
            // takes no variables for the program: `env` does.
            _ if is_assignment(text) => Self::Shell(format!("exec env {text}")),
            _ => Self::Shell(format!("exec {text}")),
        }
    }

    /// The same, with the program that is packed in place of one that would be looked for on the
    /// machine.
    pub(super) fn line_with(text: &str, runs: &Runs) -> Self {
        let text = text.trim();
        let mut at = 0;
        for part in text.split_inclusive(char::is_whitespace) {
            let word = part.trim();
            if word.is_empty() || word == "exec" || is_assignment(word) {
                at += part.len();
                continue;
            }
            let Some(packed) = runs.get(word) else { break };
            let (before, after) = (&text[..at], &text[at + word.len()..]);
            return Self::line(&format!("{before}{packed}{after}"));
        }
        Self::line(text)
    }
}

/// Whether it is more than one program.
pub(super) fn several(text: &str) -> bool {
    text.contains(['|', ';', '&', '(', '<', '>'])
}

/// Whether it begins with a variable for a program, `NAME=value`.
fn is_assignment(text: &str) -> bool {
    text.split_once('=').is_some_and(|(name, _)| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(text: &str) -> Command {
        Command::Shell(text.to_owned())
    }

    #[test]
    fn a_shell_only_where_it_is_needed_and_never_between() {
        assert_eq!(Command::line(" node 'a b' "), Command::words(["node", "a b"]));
        assert_eq!(Command::line("serve -p $PORT"), shell("exec serve -p $PORT"));
        assert_eq!(Command::line("exec serve $PORT"), shell("exec serve $PORT"));
        assert_eq!(Command::line("a && b"), shell("a && b"));
        assert_eq!(Command::line("A=b serve"), shell("exec env A=b serve"));
    }

    #[test]
    fn the_packed_program_is_started() {
        let runs = Runs::from([("gunicorn".to_owned(), "python3 -m gunicorn".to_owned())]);
        let line = |text| Command::line_with(text, &runs);
        assert_eq!(line("gunicorn x"), Command::words(["python3", "-m", "gunicorn", "x"]));
        assert_eq!(line("exec gunicorn $A"), shell("exec python3 -m gunicorn $A"));
        assert_eq!(line("A=gunicorn b"), shell("exec env A=gunicorn b"));
        assert_eq!(line("B=gunicorn gunicorn"), shell("exec env B=gunicorn python3 -m gunicorn"));
        assert_eq!(line("./gunicorn x"), Command::words(["./gunicorn", "x"]));
    }
}
