//! Values that only `kubake` has: host ports, durations, names. Parses and prints them; does no I/O.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use kubake_contract::CONTROL_PLANE_CPU;
use kubake_contract::hooks::Failure;

use crate::image_reference::ImageReference;

/// Where a port of the container appears on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostPort {
    /// Nowhere.
    Off,
    /// On this address.
    On {
        /// The host's address.
        ip: IpAddr,
        /// The port; none takes a free one.
        port: Option<u16>,
    },
}

/// Whoever reaches the API server with the kubeconfig is root on the host, hence not on all addresses.
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

impl HostPort {
    /// A fixed port on 127.0.0.1.
    #[must_use]
    pub const fn local(port: u16) -> Self {
        Self::On { ip: LOOPBACK, port: Some(port) }
    }

    /// Reads `off`, `auto`, `8443`, `0.0.0.0:8443`, `[::1]:auto`.
    ///
    /// # Errors
    /// What is wrong with it, naming it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if matches!(text, "off" | "false" | "none") {
            return Ok(Self::Off);
        }
        let (ip, port) = match text.rsplit_once(':') {
            None => (LOOPBACK, text),
            Some((ip, port)) => (parse_ip(ip)?, port),
        };
        Ok(Self::On { ip, port: parse_host_port(port)? })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => formatter.write_str("off"),
            Self::On { ip, port } => {
                match ip {
                    IpAddr::V4(ip) if *ip == Ipv4Addr::LOCALHOST => {}
                    IpAddr::V4(ip) => write!(formatter, "{ip}:")?,
                    IpAddr::V6(ip) => write!(formatter, "[{ip}]:")?,
                }
                match port {
                    Some(port) => write!(formatter, "{port}"),
                    None => formatter.write_str("auto"),
                }
            }
        }
    }
}

/// The protocol of a published port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Protocol {
    Tcp,
    Udp,
}

impl Protocol {
    /// As Docker writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// One more port to publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publish {
    /// Where on the host; never [`HostPort::Off`].
    pub host: HostPort,
    /// Which port of the container.
    pub container: u16,
    /// Its protocol.
    pub protocol: Protocol,
}

impl Publish {
    /// Reads `[IP:]HOST:CONTAINER[/udp]`.
    ///
    /// # Errors
    /// What is wrong with it, naming it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (ports, protocol) = match text.rsplit_once('/') {
            None | Some((_, "tcp")) => (text.trim_end_matches("/tcp"), Protocol::Tcp),
            Some((ports, "udp")) => (ports, Protocol::Udp),
            Some((_, other)) => return Err(format!("`{other}` is neither `tcp` nor `udp`")),
        };
        let (host, container) =
            ports.rsplit_once(':').ok_or_else(|| format!("`{text}` is not of the form `[IP:]HOST:CONTAINER[/udp]`"))?;
        let host = HostPort::parse(host)?;
        if host == HostPort::Off {
            return Err(format!("`{text}` publishes nothing"));
        }
        Ok(Self { host, container: parse_port(container)?, protocol })
    }
}

impl fmt::Display for Publish {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.host, self.container)?;
        if self.protocol == Protocol::Udp { formatter.write_str("/udp") } else { Ok(()) }
    }
}

fn parse_ip(text: &str) -> Result<IpAddr, String> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().map_err(|_| format!("`{text}` is not an IP address of the host"))
}

fn parse_host_port(text: &str) -> Result<Option<u16>, String> {
    if text == "auto" { Ok(None) } else { parse_port(text).map(Some) }
}

fn parse_port(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(0) | Err(_) => {
            Err(format!("`{text}` is not a port: a number from 1 to 65535, or `auto` on the host's side"))
        }
        Ok(port) => Ok(port),
    }
}

/// A number of processors, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cpus(u64);

impl Cpus {
    /// Reads `2`, `2.5`.
    ///
    /// # Errors
    /// What is wrong with it, naming it.
    pub fn parse(text: &str) -> Result<Self, String> {
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

    /// Whether a machine with this many has them.
    #[must_use]
    pub fn fits(self, processors: u64) -> bool {
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
pub struct Memory(u64);

impl Memory {
    /// Less than this, and the kernel kills parts of the control plane while it boots.
    const LEAST: Self = Self(1 << 30);
    /// What stands behind a number, and how often it doubles.
    const UNITS: [(char, u32); 5] = [('b', 0), ('k', 10), ('m', 20), ('g', 30), ('t', 40)];

    /// Reads `4g`, `1536m`, `1.5Gi`, `4GiB`: all of them powers of 1024, as the engine has it.
    ///
    /// # Errors
    /// What is wrong with it, naming it.
    pub fn parse(text: &str) -> Result<Self, String> {
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
            // Who writes a bare number rarely means bytes.
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

/// A decimal number times `scale`, rounded down; none for what is none or too large, or has too many decimals.
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

/// Takes the path of a file of PEM. In a container the variable of this name may hold the text itself, which must not be
/// looked for as a file, nor told as one.
///
/// # Errors
/// When it is the text.
pub(super) fn parse_path_of_pem(text: &str) -> Result<Option<PathBuf>, String> {
    if text.contains("-----BEGIN") {
        return Err("this is PEM itself; put it into a file and give its path".to_owned());
    }
    Ok(Some(PathBuf::from(text)))
}

/// Reads `90`, `90s`, `5m`, `1h`, `2m30s`.
///
/// # Errors
/// What is wrong with it, naming it.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a duration such as `90s`, `5m` or `2m30s`");
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    let mut total = 0_u64;
    let mut number = String::new();
    for letter in text.chars() {
        let unit = match letter {
            '0'..='9' => {
                number.push(letter);
                continue;
            }
            'h' => 3600,
            'm' => 60,
            's' => 1,
            _ => return Err(wrong()),
        };
        let amount: u64 = number.parse().map_err(|_| wrong())?;
        total = amount.checked_mul(unit).and_then(|part| total.checked_add(part)).ok_or_else(wrong)?;
        number.clear();
    }
    if text.is_empty() || !number.is_empty() { Err(wrong()) } else { Ok(Duration::from_secs(total)) }
}

/// Reads how long something may take.
///
/// # Errors
/// What is wrong with it, naming it.
pub(super) fn parse_timeout(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        Duration::ZERO => Err(format!("`{text}` leaves no time; give it some, such as `30m`")),
        timeout => Ok(timeout),
    }
}

/// Reads what a failed hook means.
pub(super) fn parse_failure(text: &str) -> Result<Failure, String> {
    [Failure::Fail, Failure::Report]
        .into_iter()
        .find(|failure| print_failure(*failure) == text)
        .ok_or_else(|| format!("`{text}` is neither `fail` nor `report`"))
}

/// Prints it as [`parse_failure`] reads it.
pub(super) const fn print_failure(failure: Failure) -> &'static str {
    match failure {
        Failure::Fail => "fail",
        Failure::Report => "report",
    }
}

/// Prints a duration so that [`parse_duration`] reads the same.
#[must_use]
pub fn print_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (hours, 0, 0) => format!("{hours}h"),
        (0, minutes, 0) => format!("{minutes}m"),
        (hours, minutes, seconds) => format!("{}m{seconds}s", hours * 60 + minutes),
    }
}

/// A day.
const DAY: u64 = 24 * 3600;
/// How long certificates are valid where nobody says; `kubake-init` means the same.
pub const DEFAULT_VALIDITY: Duration = Duration::from_secs(3650 * DAY);

/// Reads how long a certificate is valid: `24h`, `30d`, `1y`.
///
/// # Errors
/// What is wrong with it, naming it.
pub(super) fn parse_validity(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text)
        .map_err(|_| format!("`{text}` is not a duration such as `24h`, `30d` or `3650d`"))?;
    // What is printed has whole seconds, and what is printed is what counts.
    let duration = Duration::from_secs(duration.as_secs());
    if (3600..=36500 * DAY).contains(&duration.as_secs()) {
        Ok(duration)
    } else {
        Err(format!("`{text}` must be at least `1h` and at most `36500d`"))
    }
}

/// Prints it so that [`parse_validity`] and `kubake-init` read the same.
#[must_use]
pub fn print_validity(duration: Duration) -> String {
    match duration.as_secs() {
        seconds if seconds % DAY == 0 => format!("{}d", seconds / DAY),
        seconds if seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        seconds => format!("{seconds}s"),
    }
}

/// Reads `on` and `off`, and what YAML makes of them.
///
/// # Errors
/// What is wrong with it, naming it.
pub(super) fn parse_switch(text: &str) -> Result<bool, String> {
    match text {
        "on" | "true" | "yes" => Ok(true),
        "off" | "false" | "no" => Ok(false),
        _ => Err(format!("`{text}` is neither `on` nor `off`")),
    }
}

/// Checks the name of an add-on: it is a directory's, and one of `known` where somebody knows them.
///
/// # Errors
/// What is wrong with it, naming it.
pub(super) fn parse_addon(text: &str, known: Option<&[String]>) -> Result<String, String> {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if text.is_empty() || !text.bytes().all(inner) {
        return Err(format!("`{text}` is no add-on's name: lower-case letters, digits and `-`"));
    }
    match known {
        Some(known) if !known.iter().any(|name| name == text) => {
            Err(format!("`{text}` is no add-on; there are {}", known.join(", ")))
        }
        _ => Ok(text.to_owned()),
    }
}

/// Checks a cluster's name: it becomes a container's name, a kubeconfig context and part of file names.
///
/// # Errors
/// What is wrong with it, naming it.
pub(super) fn parse_name(text: &str) -> Result<String, String> {
    let inner =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.' || byte == b'_';
    let good = (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if good {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "`{text}` is not a name: lower-case letters, digits, `-`, `_` and `.`, at most 63, a letter or digit first"
        ))
    }
}

/// Checks an image's name as far as no engine is needed for it; adds `:latest` where there is no tag.
///
/// # Errors
/// What is wrong with it, naming it.
pub(super) fn parse_image(text: &str) -> Result<String, String> {
    let wrong = || format!("`{text}` is not an image name such as `registry.example/team/kubake:1.0`");
    if text.contains('@') {
        return Err(format!("`{text}` names a digest; an image is made and run by its tag"));
    }
    ImageReference::parse(text).map(|reference| reference.with_tag()).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_ports() {
        for (text, printed) in [
            ("8443", "8443"),
            ("auto", "auto"),
            ("127.0.0.1:8443", "8443"),
            ("0.0.0.0:8443", "0.0.0.0:8443"),
            ("[::1]:auto", "[::1]:auto"),
            ("off", "off"),
            ("false", "off"),
        ] {
            assert_eq!(HostPort::parse(text).unwrap().to_string(), printed, "{text}");
        }
        for text in ["", "0", "65536", "http", "host:80", ":80", "1.2.3:80"] {
            assert!(HostPort::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn extra_ports() {
        for text in ["8080:80", "0.0.0.0:8080:80", "auto:30000", "53:30053/udp", "[::1]:8080:80"] {
            assert_eq!(Publish::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Publish::parse("8080:80/tcp").unwrap().to_string(), "8080:80");
        for text in ["", "80", "off:80", "80:", "80:0", "80:80/sctp", ":80", "auto:auto"] {
            assert!(Publish::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations() {
        for (text, secs, printed) in
            [("90", 90, "1m30s"), ("5m", 300, "5m"), ("1h", 3600, "1h"), ("0", 0, "0s"), ("1h2m3s", 3723, "62m3s")]
        {
            let duration = parse_duration(text).unwrap();
            assert_eq!((duration.as_secs(), print_duration(duration).as_str()), (secs, printed), "{text}");
            assert_eq!(parse_duration(printed).unwrap(), duration);
        }
        for text in ["", "m", "5x", "5m3", "-1", "99999999999999999999h"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn validities() {
        for (text, printed) in
            [("3650d", "3650d"), ("1h", "1h"), ("24h", "1d"), ("36500 days", "36500d"), ("90m 1s", "5401s")]
        {
            let duration = parse_validity(text).unwrap();
            assert_eq!(print_validity(duration), printed, "{text}");
            assert_eq!(parse_validity(printed).unwrap(), duration);
        }
        for text in ["", "3650", "59m", "36501d", "0d", "forever", "-1d"] {
            assert!(parse_validity(text).is_err(), "{text}");
        }
        assert_eq!(print_validity(DEFAULT_VALIDITY), "3650d");
    }

    #[test]
    fn processors() {
        for (text, printed) in [("2", "2"), ("2.5", "2.5"), ("0.75", "0.75"), ("01.250", "1.25"), ("16.0", "16")] {
            let cpus = Cpus::parse(text).unwrap();
            assert_eq!(cpus.to_string(), printed, "{text}");
            assert_eq!(Cpus::parse(printed).unwrap(), cpus);
        }
        for text in ["", "two", "-1", "2,5", ".5", "2.", "1e3", "1.2345", "1.2.3", "99999999999999999999"] {
            let told = Cpus::parse(text).unwrap_err();
            assert!(told.starts_with(&format!("`{text}` is not a number of processors")), "{told}");
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
            let told = Memory::parse(text).unwrap_err();
            assert_eq!(told, format!("`{text}` is not an amount of memory such as `4g` or `1536m`"));
        }
        assert_eq!(Memory::parse("1023m").unwrap_err(), "`1023m` is too little: Kubernetes needs about 1g to boot");
        assert!(Memory::parse("4").unwrap_err().ends_with("to boot; without a unit it is bytes"));
    }

    #[test]
    fn pem_is_no_path_and_is_not_told() {
        assert_eq!(parse_path_of_pem("ca.pem"), Ok(Some(PathBuf::from("ca.pem"))));
        assert!(!parse_path_of_pem("-----BEGIN CERTIFICATE-----\nMII").unwrap_err().contains("MII"));
    }

    #[test]
    fn switches() {
        assert_eq!((parse_switch("on"), parse_switch("false")), (Ok(true), Ok(false)));
        assert!(parse_switch("1").is_err() && parse_switch("").is_err());
    }

    #[test]
    fn image_names() {
        for (text, full) in [
            ("kubake", "kubake:latest"),
            ("kubake:v1", "kubake:v1"),
            ("localhost:5000/kubake", "localhost:5000/kubake:latest"),
            ("registry.example/a/b:1.0", "registry.example/a/b:1.0"),
        ] {
            assert_eq!(parse_image(text).unwrap(), full);
        }
        for text in ["", "Kubake", "kubake:", "a b", "-x", "a//b", "kubake@sha256:00", "kubake:a/b:", "a:b:c"] {
            assert!(parse_image(text).is_err(), "{text}");
        }
    }
}
