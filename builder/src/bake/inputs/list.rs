//! Lists of images: one image a line, with options. Parses text; reads no file, and asks no engine whether an image
//! exists.
//!
//! ```text
//! nginx:1.29                                 # the engine's image if it has one, otherwise pulled
//! redis@sha256:…                             # by digest
//! docker://my/app                            # the engine's image, never pulled
//! busybox --platform linux/amd64             # a mistake if the engine has another platform
//! ```

use std::path::{Path, PathBuf};

use kubake_contract::ImageReference;

use super::platform::Platform;
use super::problem::Problem;

/// Prefix of an image that the engine must have.
const LOCAL: &str = "docker://";

/// One image of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    /// The reference as the list has it.
    pub(crate) reference: String,
    /// Whether the engine must have the image, so that it is never pulled.
    pub(crate) is_local: bool,
    /// Path of the list.
    pub(crate) path: PathBuf,
    /// Line in the list, from 1.
    pub(crate) line: usize,
}

impl Listed {
    /// A problem at the line of this image.
    #[must_use]
    pub(crate) fn problem(&self, what: impl Into<String>) -> Problem {
        Problem { path: self.path.clone(), line: Some(self.line), what: what.into() }
    }
}

/// The images of a list and all mistakes in it.
pub(super) fn parse(text: &str, path: &Path, platform: &Platform) -> (Vec<Listed>, Vec<Problem>) {
    let (mut images, mut problems) = (Vec::new(), Vec::new());
    // Some editors begin a file with a byte order mark.
    for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line_number = index + 1;
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        match parse_line(line, platform) {
            Ok((reference, is_local)) => {
                images.push(Listed { reference, is_local, path: path.to_owned(), line: line_number });
            }
            Err(what) => problems.push(Problem { path: path.to_owned(), line: Some(line_number), what }),
        }
    }
    (images, problems)
}

fn parse_line(line: &str, platform: &Platform) -> Result<(String, bool), String> {
    let mut words = line.split_whitespace();
    let first = words.next().unwrap_or_default();
    let (reference, is_local) = first.strip_prefix(LOCAL).map_or((first, false), |reference| (reference, true));
    if ImageReference::parse(reference).is_none() {
        return Err(format!(
            "`{}` is not an image reference; write one image a line, such as `nginx:1.29` or `name@sha256:…`; `#` begins a \
             comment",
            reference.escape_debug()
        ));
    }
    while let Some(word) = words.next() {
        let wanted = match word.strip_prefix("--platform") {
            Some("") => words.next().unwrap_or_default(),
            Some(rest) if rest.starts_with('=') => rest.trim_start_matches('='),
            _ => {
                let word = word.escape_debug();
                return Err(format!("`{word}` is unknown; only `--platform OS/ARCHITECTURE` may follow an image"));
            }
        };
        let asked: Platform = wanted.parse()?;
        if !platform.runs(&asked) {
            return Err(format!(
                "`{reference}` is listed for {asked}, and the engine runs {platform}; bake on a machine of that platform, \
                 or remove `--platform`"
            ));
        }
    }
    Ok((reference.to_owned(), is_local))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine() -> Platform {
        "linux/amd64".parse().unwrap()
    }

    #[test]
    fn a_list_says_where_images_come_from() {
        let digest = format!("redis@sha256:{}", "0a".repeat(32));
        let text = format!(
            "\u{feff}# mine\nnginx:1.29\r\n\n  {digest} # by digest\ndocker://me/app\nreg.example:5000/a/b-c_d:V1.0-x \
             --platform linux/amd64\nbusybox --platform=linux/x86_64\n"
        );
        let (images, problems) = parse(&text, Path::new("a.txt"), &engine());
        assert_eq!(problems, []);
        let seen: Vec<_> = images.iter().map(|image| (image.line, image.reference.as_str(), image.is_local)).collect();
        assert_eq!(
            seen,
            [
                (2, "nginx:1.29", false),
                (4, digest.as_str(), false),
                (5, "me/app", true),
                (6, "reg.example:5000/a/b-c_d:V1.0-x", false),
                (7, "busybox", false),
            ]
        );
    }

    #[test]
    fn every_mistake_is_reported_with_its_line() {
        let text = "ok\n--privileged\ntwo words\nnginx:\nNginx\nx@sha256:00\nfine --platform linux/arm64\n\
                    fine --platform\nfine --platform windows\n../x\na//b\ndocker://\n\u{1b}[2J\n";
        let (images, problems) = parse(text, Path::new("list.txt"), &engine());
        assert_eq!(images.len(), 1);
        let lines: Vec<_> = problems.iter().filter_map(|problem| problem.line).collect();
        assert_eq!(lines, (2..=13).collect::<Vec<_>>());
        let text = problems.iter().map(|problem| format!("{problem}\n")).collect::<String>();
        assert!(text.contains("`list.txt`, line 2: `--privileged` is not an image reference"), "{text}");
        assert!(text.contains("line 3: `words` is unknown"), "{text}");
        assert!(text.contains("line 7: `fine` is listed for linux/arm64, and the engine runs linux/amd64"), "{text}");
        assert!(text.contains("line 9: `windows` is not a platform"), "{text}");
        assert!(!text.contains('\u{1b}'), "control characters must not reach the terminal");
    }
}
