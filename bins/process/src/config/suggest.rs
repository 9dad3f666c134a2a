//! Finds the word that was probably meant.

/// The candidate nearest to `word`, if it is near enough to be a slip of the fingers: two letters,
/// or a third of a longer word.
pub(super) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).max(2);
    within(limit, word, candidates)
}

/// The nearest candidate that is at most `limit` insertions, deletions, swaps or replacements away.
pub(super) fn within<'a>(
    limit: usize,
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_understood_and_a_stranger_is_not() {
        let known = ["data_dir", "api_listen", "agent_listen"];
        assert_eq!(nearest("dta_dir", known), Some("data_dir"));
        assert_eq!(nearest("agent-listen", known), Some("agent_listen"));
        assert_eq!(nearest("listen_api", known), None);
        assert_eq!(nearest("x", known), None);
    }
}
