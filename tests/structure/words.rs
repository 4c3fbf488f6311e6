//! Words that make messages, comments and pages hard to read. They are refused in every text file of the checkout.

use crate::checkout::Checkout;
use crate::finding::Finding;

/// In lower case; a `-` stands for a space, so that this list does not find itself.
const REFUSED: [&str; 17] = [
    "at-home",
    "as-it-were",
    "of-its-own-accord",
    "such-a-one",
    "tells-",
    "told-",
    "somebody-",
    "anybody-",
    "nobody-",
    "whoever-",
    "whom-",
    "hence-",
    "thereof-",
    "whatever-",
    "whomever-",
    "whence-",
    "thence-",
];

/// One finding for each file with refused words.
pub(crate) fn find(checkout: &Checkout) -> Vec<Finding> {
    let refused: Vec<String> = REFUSED.iter().map(|word| word.trim_end_matches('-').replace('-', " ")).collect();
    let texts = checkout.texts.iter().filter(|(path, _)| !path.ends_with("structure/words.rs"));
    texts
        .filter_map(|(path, text)| {
            let lines = text.lines().enumerate();
            let places: Vec<String> = lines
                .flat_map(|(at, line)| {
                    let row = row_of_words(line);
                    let hits = refused.iter().filter(move |word| row.contains(&format!(" {word} ")));
                    hits.map(move |word| format!("{}:{word}", at + 1))
                })
                .collect();
            (!places.is_empty()).then(|| Finding::new(path, format!("refused words: {}", places.join(" "))))
        })
        .collect()
}

/// The line's words in lower case with one space before and after each.
fn row_of_words(line: &str) -> String {
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '\'';
    let words = line.split(|letter| !is_part(letter)).filter(|word| !word.is_empty());
    words.fold(" ".to_owned(), |row, word| row + &word.to_lowercase() + " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        find(&Checkout::of(&[("page.md", text)])).into_iter().map(|finding| finding.problem).collect()
    }

    #[test]
    fn a_refused_word_is_found_in_any_case_and_beside_any_mark() {
        assert_eq!(found("fine\n`Whoever` asks\n"), ["refused words: 2:whoever"]);
        assert_eq!(found("It is, at home.\n"), ["refused words: 1:at home"]);
    }

    #[test]
    fn a_longer_word_is_not_found() {
        assert_eq!(found("a retold story, is_told\n"), [""; 0]);
    }
}
