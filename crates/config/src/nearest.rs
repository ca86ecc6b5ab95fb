//! The word that somebody probably meant.

/// The candidate closest to a word, when it is close enough to be meant.
pub(crate) fn nearest<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    let lower = word.to_lowercase().replace('_', "-");
    candidates
        .into_iter()
        .map(|candidate| {
            let other = candidate.to_lowercase().replace('_', "-");
            (strsim::damerau_levenshtein(&lower, &other), prefix(&lower, &other), candidate)
        })
        .filter(|(distance, prefix, candidate)| {
            let length = word.chars().count().max(candidate.chars().count());
            let close = *distance <= (length / 3).clamp(1, 3);
            *prefix || (close && *distance < candidate.chars().count())
        })
        .min_by_key(|(distance, _, _)| *distance)
        .map(|(_, _, candidate)| candidate)
}

/// Whether one is the beginning of the other, like `env` of `environment`.
fn prefix(word: &str, candidate: &str) -> bool {
    word.len().min(candidate.len()) >= 3
        && (word.starts_with(candidate) || candidate.starts_with(word))
}

/// `did you mean …?`, or the possible words when nothing is close.
pub(crate) fn suggest<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str> + Clone,
    possible: &str,
) -> Option<String> {
    if let Some(near) = nearest(word, candidates.clone()) {
        return Some(format!("did you mean `{near}`?"));
    }
    let all: Vec<&str> = candidates.into_iter().collect();
    (!all.is_empty()).then(|| format!("{possible}: {}", list(&all)))
}

/// `a`, `b`, `c`, up to twelve of them.
pub(crate) fn list(words: &[&str]) -> String {
    let mut text =
        words.iter().take(12).map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    if words.len() > 12 {
        text.push_str(&format!(" and {} more", words.len() - 12));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_close_words_are_suggested() {
        let keys = ["artifact", "command", "replicas", "env", "env_file", "health"];
        assert_eq!(nearest("replica", keys), Some("replicas"));
        assert_eq!(nearest("comand", keys), Some("command"));
        assert_eq!(nearest("environment", keys), Some("env"));
        assert_eq!(nearest("env-file", keys), Some("env_file"));
        assert_eq!(nearest("banana", keys), None);
        assert_eq!(nearest("web", ["worker"]), None);
    }
}
