//! DNS messages: the parts that a forwarder and one kind of question need. Pure. Names are skipped and compared, never
//! expanded, so no compression pointer is followed and none can form a loop.

use std::net::{IpAddr, Ipv4Addr};

/// Length of a message's header.
pub(super) const HEADER: usize = 12;
const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;
const CLASS_IN: u16 = 1;
/// Records that are read from a response: a chain of CNAMEs and a few addresses.
const MOST_ANSWERS: u16 = 64;
/// How long an answer of our own may be kept, in seconds: no longer than a change of its file should take to be seen.
const OWN_TTL: u32 = 5;

/// Why a response does not answer a question.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum MessageError {
    /// The name is no valid DNS name.
    #[error("`{0}` is not a DNS name")]
    Name(String),
    /// The bytes are not a DNS response.
    #[error("malformed response")]
    Malformed,
    /// The response belongs to another question.
    #[error("response to another question")]
    Stranger,
    /// The server answered with an error code.
    #[error("server answered {}", rcode_name(*.0))]
    Refused(u8),
    /// The server answered that there is no address.
    #[error("no address in the response")]
    NoAddress,
}

/// Whether the bytes can be a query; anything else, such as a response, gets no answer.
pub(super) fn is_query(message: &[u8]) -> bool {
    message.len() >= HEADER && message[2] & 0x80 == 0
}

/// Whether `response` answers `query`: same id, same question.
pub(super) fn answers(query: &[u8], response: &[u8]) -> bool {
    if response.len() < HEADER || response[2] & 0x80 == 0 || response[..2] != query[..2] {
        return false;
    }
    match (question(query), question(response)) {
        (Some(asked), Some(answered)) => asked.eq_ignore_ascii_case(answered),
        // Some servers leave the question out when they refuse.
        (_, None) => rcode(response) != 0,
        (None, Some(_)) => false,
    }
}

/// The response code.
pub(super) fn rcode(message: &[u8]) -> u8 {
    message.get(3).map_or(0, |byte| byte & 0x0f)
}

/// Whether another server may answer: SERVFAIL, NOTIMP and REFUSED, as in glibc.
pub(super) fn is_failure(message: &[u8]) -> bool {
    matches!(rcode(message), 2 | 4 | 5)
}

/// The response "server failure" to a query.
pub(super) fn servfail(query: &[u8]) -> Option<Vec<u8>> {
    if !is_query(query) {
        return None;
    }
    let question = question(query).unwrap_or_default();
    let mut response = Vec::with_capacity(HEADER + question.len());
    response.extend_from_slice(&query[..2]);
    // Response, opcode and "recursion desired" as asked; "recursion available" and code 2.
    response.push(0x80 | (query[2] & 0x79));
    response.push(0x82);
    response.extend_from_slice(&[0, u8::from(!question.is_empty()), 0, 0, 0, 0, 0, 0]);
    response.extend_from_slice(question);
    Some(response)
}

/// The name in a question about addresses, in lower case; none for every other query.
pub(super) fn asked_name(query: &[u8]) -> Option<String> {
    // An ordinary query, with one question of class IN.
    if !is_query(query) || query[2] & 0x78 != 0 {
        return None;
    }
    let question = question(query)?;
    let (name, kind) = question.split_at(question.len() - 4);
    if !matches!(read_u16(kind, 0)?, TYPE_A | TYPE_AAAA) || read_u16(kind, 2)? != CLASS_IN {
        return None;
    }
    let mut labels = Vec::new();
    let mut rest = name;
    while let Some((&length, tail)) = rest.split_first().filter(|(length, _)| **length > 0) {
        // A pointer in a question leads nowhere.
        let (label, tail) = tail.split_at_checked(usize::from(length)).filter(|_| length <= 63)?;
        labels.push(std::str::from_utf8(label).ok()?.to_ascii_lowercase());
        rest = tail;
    }
    Some(labels.join("."))
}

/// The answer to a query of [`asked_name`]: those of the addresses that it asks for, which may be none.
pub(super) fn own_answer(query: &[u8], addresses: &[IpAddr]) -> Option<Vec<u8>> {
    let question = question(query)?;
    let kind = read_u16(question, question.len() - 4)?;
    let mut records = Vec::new();
    let mut count = 0;
    for address in addresses {
        let data = match (address, kind) {
            (IpAddr::V4(address), TYPE_A) => address.octets().to_vec(),
            (IpAddr::V6(address), TYPE_AAAA) => address.octets().to_vec(),
            _ => continue,
        };
        count += 1;
        // The owner is a pointer to the question.
        records.extend_from_slice(&[0xc0, u8::try_from(HEADER).ok()?]);
        for field in [kind, CLASS_IN] {
            records.extend_from_slice(&field.to_be_bytes());
        }
        records.extend_from_slice(&OWN_TTL.to_be_bytes());
        records.extend_from_slice(&u16::try_from(data.len()).ok()?.to_be_bytes());
        records.extend_from_slice(&data);
    }
    let mut response = query[..2].to_vec();
    // Response, "recursion desired" as asked; "recursion available", no error, one question.
    response.extend_from_slice(&[0x80 | (query[2] & 0x01), 0x80, 0, 1, 0, count, 0, 0, 0, 0]);
    response.extend_from_slice(question);
    response.extend_from_slice(&records);
    Some(response)
}

/// A query for the IPv4 addresses of `name`.
pub(super) fn query_a(id: u16, name: &str) -> Result<Vec<u8>, MessageError> {
    let invalid = || MessageError::Name(name.chars().take(300).collect());
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty() || name.len() > 253 {
        return Err(invalid());
    }
    let mut message = id.to_be_bytes().to_vec();
    // Recursion desired, one question.
    message.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length)).ok_or_else(invalid)?;
        message.push(length);
        message.extend_from_slice(label.as_bytes());
    }
    message.push(0);
    message.extend_from_slice(&TYPE_A.to_be_bytes());
    message.extend_from_slice(&CLASS_IN.to_be_bytes());
    Ok(message)
}

/// The addresses in the response to a query of [`query_a`].
pub(super) fn addresses(query: &[u8], response: &[u8]) -> Result<Vec<Ipv4Addr>, MessageError> {
    if query.len() < HEADER || !answers(query, response) {
        return Err(MessageError::Stranger);
    }
    if rcode(response) != 0 {
        return Err(MessageError::Refused(rcode(response)));
    }
    let mut at = HEADER + question(response).ok_or(MessageError::Malformed)?.len();
    let count = read_u16(response, 6).ok_or(MessageError::Malformed)?;
    let mut found = Vec::new();
    for _ in 0..count.min(MOST_ANSWERS) {
        let record = skip_name(response, at).ok_or(MessageError::Malformed)?;
        let header = (read_u16(response, record), read_u16(response, record + 2), read_u16(response, record + 8));
        let (Some(kind), Some(class), Some(length)) = header else {
            return Err(MessageError::Malformed);
        };
        let data = record + 10;
        let end = data + usize::from(length);
        let data = response.get(data..end).ok_or(MessageError::Malformed)?;
        if kind == TYPE_A && class == CLASS_IN {
            let octets: [u8; 4] = data.try_into().map_err(|_| MessageError::Malformed)?;
            found.push(Ipv4Addr::from(octets));
        }
        at = end;
    }
    if found.is_empty() { Err(MessageError::NoAddress) } else { Ok(found) }
}

/// The bytes of a message's one question; none when there is not exactly one or it is malformed.
fn question(message: &[u8]) -> Option<&[u8]> {
    if read_u16(message, 4)? != 1 {
        return None;
    }
    message.get(HEADER..skip_name(message, HEADER)? + 4)
}

/// Where the name at `at` ends.
fn skip_name(message: &[u8], mut at: usize) -> Option<usize> {
    let start = at;
    loop {
        let length = *message.get(at)?;
        match length {
            0 => return Some(at + 1),
            1..=63 => at += 1 + usize::from(length),
            // A pointer is always the end of a name.
            192.. => return (at + 2 <= message.len()).then_some(at + 2),
            _ => return None,
        }
        if at - start > 255 {
            return None;
        }
    }
}

fn read_u16(message: &[u8], at: usize) -> Option<u16> {
    let bytes = message.get(at..at + 2)?;
    Some(u16::from_be_bytes([bytes[0], bytes[1]]))
}

fn rcode_name(code: u8) -> String {
    match code {
        1 => "FORMERR".to_owned(),
        2 => "SERVFAIL".to_owned(),
        3 => "NXDOMAIN".to_owned(),
        4 => "NOTIMP".to_owned(),
        5 => "REFUSED".to_owned(),
        other => format!("response code {other}"),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A response to `query` with one A record per address, their owner a pointer to the question.
    pub(in super::super) fn response(query: &[u8], addresses: &[Ipv4Addr]) -> Vec<u8> {
        let mut message = query[..HEADER + question(query).unwrap().len()].to_vec();
        message[2] |= 0x80;
        message[3] = 0x80;
        message[6..8].copy_from_slice(&u16::try_from(addresses.len()).unwrap().to_be_bytes());
        message[8..12].fill(0);
        for address in addresses {
            message.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4]);
            message.extend_from_slice(&address.octets());
        }
        message
    }

    const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);

    #[test]
    fn a_question_and_its_answer() {
        let query = query_a(0x1234, "kubernetes.default.svc.cluster.local.").unwrap();
        assert!(is_query(&query));
        let answer = response(&query, &[ADDRESS, ADDRESS]);
        assert_eq!(addresses(&query, &answer), Ok(vec![ADDRESS, ADDRESS]));
        assert!(!is_query(&answer));
        let mut other = answer.clone();
        other[0] ^= 1;
        assert_eq!(addresses(&query, &other), Err(MessageError::Stranger));
        let elsewhere = response(&query_a(0x1234, "kubernetes.other").unwrap(), &[ADDRESS]);
        assert_eq!(addresses(&query, &elsewhere), Err(MessageError::Stranger));
        let mut missing = response(&query, &[]);
        assert_eq!(addresses(&query, &missing), Err(MessageError::NoAddress));
        missing[3] |= 3;
        assert_eq!(addresses(&query, &missing), Err(MessageError::Refused(3)));
        assert_eq!(MessageError::Refused(3).to_string(), "server answered NXDOMAIN");
        for cut in HEADER + 1..answer.len() {
            assert!(addresses(&query, &answer[..cut]).is_err(), "{cut}");
        }
    }

    #[test]
    fn a_chain_of_names_is_stepped_over() {
        let query = query_a(1, "a.b").unwrap();
        let mut answer = response(&query, &[]);
        answer[7] = 2;
        // CNAME whose data is a pointer to itself, then an address owned by a pointer to the end of the message.
        answer.extend_from_slice(&[0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 5, 0, 2, 0xc0, 35]);
        answer.extend_from_slice(&[0xff, 0xff, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 10, 96, 0, 1]);
        assert_eq!(addresses(&query, &answer), Ok(vec![ADDRESS]));
    }

    #[test]
    fn invalid_names_are_refused() {
        let long = "a".repeat(64);
        let longest = "a.".repeat(200);
        for name in ["", ".", "a..b", ".a", &long, &longest] {
            assert!(matches!(query_a(1, name), Err(MessageError::Name(_))), "{name}");
        }
    }

    #[test]
    fn an_answer_of_our_own_is_one_that_resolvers_read() {
        let query = query_a(7, "Name.Internal").unwrap();
        assert_eq!(asked_name(&query).as_deref(), Some("name.internal"));
        let both = [IpAddr::V4(ADDRESS), "2001:db8::7".parse().unwrap()];
        let answer = own_answer(&query, &both).unwrap();
        assert_eq!(addresses(&query, &answer), Ok(vec![ADDRESS]));
        let mut about_ipv6 = query.clone();
        let kind = about_ipv6.len() - 3;
        about_ipv6[kind] = 28;
        let answer = own_answer(&about_ipv6, &both).unwrap();
        assert_eq!(
            (answer[7], &answer[answer.len() - 16..]),
            (1, &both[1].to_string().parse::<std::net::Ipv6Addr>().unwrap().octets()[..])
        );
        assert_eq!(addresses(&query, &own_answer(&query, &both[1..]).unwrap()), Err(MessageError::NoAddress));
        about_ipv6[kind] = 15;
        assert_eq!(asked_name(&about_ipv6), None, "other records are not in a hosts file");
    }

    #[test]
    fn a_failure_repeats_the_question() {
        let query = query_a(7, "a.example").unwrap();
        let failure = servfail(&query).unwrap();
        assert!(answers(&query, &failure) && is_failure(&failure));
        assert_eq!(addresses(&query, &failure), Err(MessageError::Refused(2)));
        assert_eq!(servfail(&failure), None);
        assert_eq!(servfail(&query[..11]), None);
        // A header with a malformed question gets an answer, too.
        assert_eq!(servfail(&query[..14]).unwrap().len(), HEADER);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(message in proptest::collection::vec(any::<u8>(), 0..600)) {
            let query = query_a(1, "a.b").unwrap();
            let _ = addresses(&query, &message);
            let _ = answers(&query, &message);
            if asked_name(&message).is_some() {
                let answer = own_answer(&message, &[ADDRESS.into()]).unwrap();
                prop_assert!(answers(&message, &answer) && answer.len() <= message.len() + 16);
            }
            if let Some(failure) = servfail(&message) {
                prop_assert!(failure.len() <= message.len().max(HEADER));
                prop_assert!(!is_query(&failure));
            }
        }

        #[test]
        fn no_broken_answer_makes_it_panic(at in 0_usize..70, byte: u8, cut in 0_usize..70) {
            let query = query_a(1, "kubernetes.default").unwrap();
            let mut message = response(&query, &[ADDRESS, ADDRESS]);
            if let Some(place) = message.get_mut(at) {
                *place = byte;
            }
            message.truncate(cut.max(1));
            let _ = addresses(&query, &message);
        }
    }
}
