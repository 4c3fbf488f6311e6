//! Limits of a container: processors and memory, as the settings write them. Parses and prints; looks at no machine.

use std::fmt;

use kubake_contract::CONTROL_PLANE_CPU;

/// A number of processors, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cpus(u64);

impl Cpus {
    /// Parses `2` or `2.5`.
    ///
    /// # Errors
    /// The problem, with the text quoted.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is not a number of processors such as `2` or `2.5`, with three decimals at most");
        let millis = decimal(text, 3, 1000).ok_or_else(wrong)?;
        if millis < CONTROL_PLANE_CPU {
            let needed = Self(CONTROL_PLANE_CPU);
            return Err(format!(
                "`{text}` is too little: the control plane's pods alone ask for {needed} of a processor"
            ));
        }
        Ok(Self(millis))
    }

    /// Whether a machine with so many processors has enough.
    #[must_use]
    pub(crate) fn fits(self, processors: u64) -> bool {
        self.0 <= processors.saturating_mul(1000)
    }
}

impl fmt::Display for Cpus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / 1000, self.0 % 1000);
        let part = format!("{part:03}");
        match part.trim_end_matches('0') {
            "" => write!(formatter, "{whole}"),
            part => write!(formatter, "{whole}.{part}"),
        }
    }
}

/// An amount of memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Memory(u64);

impl Memory {
    /// Less than this, and the kernel kills parts of the control plane while it boots.
    const LEAST: Self = Self(1 << 30);
    /// Unit letters, each with the exponent of its power of two.
    const UNITS: [(char, u32); 5] = [('b', 0), ('k', 10), ('m', 20), ('g', 30), ('t', 40)];

    /// Parses `4g`, `1536m`, `1.5Gi` or `4GiB`; every unit is a power of 1024, as in the engine.
    ///
    /// # Errors
    /// The problem, with the text quoted.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not an amount of memory such as `4g` or `1536m`");
        let lower = text.to_ascii_lowercase();
        let end = lower.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(lower.len());
        let (number, unit) = lower.split_at(end);
        let mut letters = unit.chars();
        let first = letters.next();
        let shift = match (first, letters.as_str()) {
            (None | Some('b'), "") => 0,
            (Some(letter), "" | "i" | "b" | "ib") => {
                let known = Self::UNITS.iter().find(|(name, shift)| letter == *name && *shift > 0);
                known.ok_or_else(wrong)?.1
            }
            _ => return Err(wrong()),
        };
        let memory = Self(decimal(number, 9, 1 << shift).ok_or_else(wrong)?);
        if memory < Self::LEAST {
            // A bare number is bytes, which is rarely what the user means.
            let unit = if unit.is_empty() { "; without a unit it is bytes" } else { "" };
            return Err(format!("`{text}` is too little: Kubernetes needs about {} to boot{unit}", Self::LEAST));
        }
        Ok(memory)
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let largest = Self::UNITS.iter().rev().find(|(name, shift)| *name != 't' && self.0 % (1 << shift) == 0);
        let (name, shift) = largest.copied().unwrap_or(('b', 0));
        write!(formatter, "{}{name}", self.0 >> shift)
    }
}

/// A decimal number times `scale`, rounded down; none for any other text, too many decimals or too large a number.
fn decimal(text: &str, decimals: usize, scale: u64) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let fraction = if is_number(fraction) { fraction.trim_end_matches('0') } else { return None };
    if !is_number(whole) || fraction.len() > decimals {
        return None;
    }
    let parts = format!("{whole}{fraction}").parse::<u128>().ok()?;
    let divisor = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    u64::try_from(parts.checked_mul(scale.into())? / divisor).ok().filter(|value| *value < 1 << 62)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors() {
        for (text, printed) in [("2", "2"), ("2.5", "2.5"), ("0.75", "0.75"), ("01.250", "1.25"), ("16.0", "16")] {
            let cpus = Cpus::parse(text).unwrap();
            assert_eq!(cpus.to_string(), printed, "{text}");
            assert_eq!(Cpus::parse(printed).unwrap(), cpus);
        }
        for text in ["", "two", "-1", "2,5", ".5", "2.", "1e3", "1.2345", "1.2.3", "99999999999999999999"] {
            let message = Cpus::parse(text).unwrap_err();
            assert!(message.starts_with(&format!("`{text}` is not a number of processors")), "{message}");
        }
        assert!(Cpus::parse("0").unwrap_err().contains("too little"));
        let cpus = Cpus::parse("2.5").unwrap();
        assert!(cpus.fits(3) && !cpus.fits(2));
    }

    #[test]
    fn amounts_of_memory() {
        for (text, printed) in [
            ("4g", "4g"),
            ("4G", "4g"),
            ("4Gi", "4g"),
            ("4GB", "4g"),
            ("1536m", "1536m"),
            ("1.5gib", "1536m"),
            ("1073741825", "1073741825b"),
            ("1073741824b", "1g"),
            ("1t", "1024g"),
            ("1048577k", "1048577k"),
        ] {
            let memory = Memory::parse(text).unwrap();
            assert_eq!(memory.to_string(), printed, "{text}");
            assert_eq!(Memory::parse(printed).unwrap(), memory);
        }
        for text in ["", "g", "4 g", "4x", "4gg", "-4g", "4.g", "4bb", "4iB", "ä", "4ä", "9999999999t"] {
            let message = Memory::parse(text).unwrap_err();
            assert_eq!(message, format!("`{text}` is not an amount of memory such as `4g` or `1536m`"));
        }
        assert_eq!(Memory::parse("1023m").unwrap_err(), "`1023m` is too little: Kubernetes needs about 1g to boot");
        assert!(Memory::parse("4").unwrap_err().ends_with("to boot; without a unit it is bytes"));
    }
}
