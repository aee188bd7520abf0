//! Conditions of a statement: what must be true of the call beside its action and resource.
//!
//! Operator and key names are those of the vendor's policy language. All conditions of a statement must hold; of
//! several values of one condition one must (for the negated operators: none may).

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::pattern::covers_resource;
use crate::Millis;

/// Address the call came from.
pub const SOURCE_IP: &str = "g:SourceIp";
/// When the call came.
pub const CURRENT_TIME: &str = "g:CurrentTime";
/// Name of the IAM user who calls.
pub const USER_NAME: &str = "g:UserName";
/// Value of a tag of the desktop; the tag's key follows.
pub const RESOURCE_TAG: &str = "g:ResourceTag/";
/// `ALL_USER` or `ASSIGN_USER`: whom an install or authorization call names.
pub const ASSIGN_SCOPE: &str = "workspace:AssignScope";
/// Whether the call lets somebody have an app who might not have it before: `true` or `false`.
pub const WIDENS_AUTHORIZATION: &str = "workspace:WidensAuthorization";

/// How a fact is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Operator {
    /// The text is one of the values.
    StringEquals,
    /// The text is none of the values.
    StringNotEquals,
    /// A value, with `*` and `?`, covers the text.
    StringLike,
    /// No value covers the text.
    StringNotLike,
    /// The fact is `true` or `false`.
    Bool,
    /// The address lies in one of the networks.
    IpAddress,
    /// The address lies in none of the networks.
    NotIpAddress,
    /// The instant is before the value (RFC 3339).
    DateLessThan,
    /// The instant is after the value.
    DateGreaterThan,
}

/// The conditions of a statement as written: operator, key, values.
pub type Conditions = BTreeMap<Operator, BTreeMap<String, Vec<String>>>;

/// What a condition says of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Truth {
    True,
    False,
    /// Not known at this point of the call.
    Open,
}

impl Truth {
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::False, _) | (_, Self::False) => Self::False,
            (Self::Open, _) | (_, Self::Open) => Self::Open,
            (Self::True, Self::True) => Self::True,
        }
    }
}

impl From<bool> for Truth {
    fn from(known: bool) -> Self {
        if known { Self::True } else { Self::False }
    }
}

/// Which facts a later step of the call will know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pending {
    /// None: what is not known does not exist.
    Nothing,
    /// Whether authorizations are widened: known when the apps were read.
    Widening,
    /// Everything about body and resources: only the caller is known.
    Call,
}

/// What is known of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Circumstances {
    /// Where the call came from.
    pub source: IpAddr,
    /// When it came.
    pub now: Millis,
    /// The rest, by key.
    pub facts: BTreeMap<String, String>,
    /// What is not known yet.
    pub pending: Pending,
}

impl Circumstances {
    fn is_pending(&self, key: &str) -> bool {
        match self.pending {
            Pending::Nothing => false,
            Pending::Widening => key == WIDENS_AUTHORIZATION,
            Pending::Call => key.starts_with("workspace:") || key.starts_with(RESOURCE_TAG),
        }
    }
}

/// Whether all conditions hold.
pub(super) fn holds(conditions: &Conditions, circumstances: &Circumstances) -> Truth {
    conditions
        .iter()
        .flat_map(|(operator, keys)| {
            keys.iter()
                .map(move |(key, values)| (operator, key, values))
        })
        .map(|(operator, key, values)| one_holds(*operator, key, values, circumstances))
        .fold(Truth::True, Truth::and)
}

fn one_holds(
    operator: Operator,
    key: &str,
    values: &[String],
    circumstances: &Circumstances,
) -> Truth {
    match operator {
        Operator::IpAddress => in_networks(values, circumstances.source).into(),
        Operator::NotIpAddress => (!in_networks(values, circumstances.source)).into(),
        Operator::DateLessThan | Operator::DateGreaterThan => values
            .iter()
            .filter_map(|value| value.parse::<Timestamp>().ok())
            .any(|bound| {
                let (now, bound) = (circumstances.now.get(), bound.as_millisecond());
                if operator == Operator::DateLessThan {
                    now < bound
                } else {
                    now > bound
                }
            })
            .into(),
        Operator::StringEquals
        | Operator::StringNotEquals
        | Operator::StringLike
        | Operator::StringNotLike
        | Operator::Bool => {
            let negated = matches!(
                operator,
                Operator::StringNotEquals | Operator::StringNotLike
            );
            let Some(fact) = circumstances.facts.get(key) else {
                return if circumstances.is_pending(key) {
                    Truth::Open
                } else {
                    negated.into()
                };
            };
            let is_one = values.iter().any(|value| match operator {
                Operator::StringLike | Operator::StringNotLike => covers_resource(value, fact),
                _ => value == fact,
            });
            (is_one != negated).into()
        }
    }
}

fn in_networks(networks: &[String], address: IpAddr) -> bool {
    networks
        .iter()
        .filter_map(|text| network(text))
        .any(|network| network.contains(address))
}

/// A network as addresses of 128 bits; IPv4 is mapped, so that both ways to write one address mean the same.
struct Network {
    bits: u128,
    mask: u128,
}

impl Network {
    fn contains(&self, address: IpAddr) -> bool {
        mapped(address) & self.mask == self.bits
    }
}

fn mapped(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// Reads `192.0.2.0/24`, `2001:db8::/32` or a single address.
fn network(text: &str) -> Option<Network> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length.parse::<u32>().ok()?)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let length = length.unwrap_or(most);
    if length > most {
        return None;
    }
    let host_bits = most - length;
    let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
    // The mapped prefix of an IPv4 network belongs to the network.
    Some(Network {
        bits: mapped(address) & mask,
        mask,
    })
}

/// Why a condition is not one; `None` when it is.
pub(super) fn problem(operator: Operator, key: &str, values: &[String]) -> Option<&'static str> {
    let fits_key = match key {
        SOURCE_IP => matches!(operator, Operator::IpAddress | Operator::NotIpAddress),
        CURRENT_TIME => {
            matches!(operator, Operator::DateLessThan | Operator::DateGreaterThan)
        }
        WIDENS_AUTHORIZATION => operator == Operator::Bool,
        USER_NAME | ASSIGN_SCOPE => is_textual(operator),
        tag if tag.len() > RESOURCE_TAG.len() && tag.starts_with(RESOURCE_TAG) => {
            is_textual(operator)
        }
        _ => {
            return Some(
                "must use g:SourceIp, g:CurrentTime, g:UserName, g:ResourceTag/KEY, \
                 workspace:AssignScope or workspace:WidensAuthorization",
            );
        }
    };
    if !fits_key {
        return Some("must use an operator that fits its key");
    }
    let readable = |value: &String| match operator {
        Operator::IpAddress | Operator::NotIpAddress => network(value).is_some(),
        Operator::DateLessThan | Operator::DateGreaterThan => value.parse::<Timestamp>().is_ok(),
        Operator::Bool => value == "true" || value == "false",
        _ => true,
    };
    (!values.iter().all(readable)).then_some("must have values its operator can read")
}

fn is_textual(operator: Operator) -> bool {
    matches!(
        operator,
        Operator::StringEquals
            | Operator::StringNotEquals
            | Operator::StringLike
            | Operator::StringNotLike
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circumstances(facts: &[(&str, &str)], pending: Pending) -> Circumstances {
        Circumstances {
            source: "192.0.2.7".parse().unwrap(),
            now: Millis::new(1_768_033_815_000), // 2026-01-10T08:30:15Z
            facts: facts
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            pending,
        }
    }

    fn of(operator: Operator, key: &str, values: &[&str], known: &Circumstances) -> Truth {
        let values: Vec<String> = values.iter().map(|&value| value.to_owned()).collect();
        assert_eq!(problem(operator, key, &values), None);
        one_holds(operator, key, &values, known)
    }

    #[test]
    fn addresses_lie_in_networks_of_both_kinds() {
        let known = circumstances(&[], Pending::Nothing);
        for (network, inside) in [
            ("192.0.2.0/24", true),
            ("192.0.2.7", true),
            ("192.0.2.7/32", true),
            ("192.0.2.8/29", false),
            ("0.0.0.0/0", true),
            ("::/0", true),
            ("::ffff:192.0.2.0/120", true),
            ("2001:db8::/32", false),
        ] {
            assert_eq!(
                of(Operator::IpAddress, SOURCE_IP, &[network], &known),
                inside.into(),
                "{network}"
            );
            assert_eq!(
                of(Operator::NotIpAddress, SOURCE_IP, &[network], &known),
                (!inside).into(),
                "{network}"
            );
        }
        let six = Circumstances {
            source: "2001:db8::1".parse().unwrap(),
            ..known
        };
        assert_eq!(
            of(Operator::IpAddress, SOURCE_IP, &["0.0.0.0/0"], &six),
            Truth::False
        );
        assert_eq!(
            of(
                Operator::IpAddress,
                SOURCE_IP,
                &["10.0.0.0/8", "2001:db8::/32"],
                &six
            ),
            Truth::True
        );
    }

    #[test]
    fn times_are_compared_as_instants() {
        let known = circumstances(&[], Pending::Nothing);
        let before = ["2026-01-10T10:00:00+01:00"];
        assert_eq!(
            of(Operator::DateLessThan, CURRENT_TIME, &before, &known),
            Truth::True
        );
        assert_eq!(
            of(Operator::DateGreaterThan, CURRENT_TIME, &before, &known),
            Truth::False
        );
    }

    #[test]
    fn what_does_not_exist_equals_nothing_and_what_is_pending_is_open() {
        let none = circumstances(&[], Pending::Nothing);
        let tag = "g:ResourceTag/department";
        assert_eq!(
            of(Operator::StringEquals, tag, &["it"], &none),
            Truth::False
        );
        assert_eq!(
            of(Operator::StringNotEquals, tag, &["it"], &none),
            Truth::True
        );
        let early = circumstances(&[], Pending::Call);
        assert_eq!(
            of(Operator::StringNotEquals, tag, &["it"], &early),
            Truth::Open
        );
        let known = circumstances(
            &[(tag, "it"), (ASSIGN_SCOPE, "ALL_USER")],
            Pending::Widening,
        );
        assert_eq!(of(Operator::StringLike, tag, &["i?"], &known), Truth::True);
        assert_eq!(
            of(Operator::StringNotLike, tag, &["h*", "i*"], &known),
            Truth::False
        );
        assert_eq!(
            of(Operator::Bool, WIDENS_AUTHORIZATION, &["true"], &known),
            Truth::Open
        );
        assert_eq!(
            of(
                Operator::StringEquals,
                ASSIGN_SCOPE,
                &["ASSIGN_USER"],
                &known
            ),
            Truth::False
        );
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        let value = |text: &str| vec![text.to_owned()];
        for (operator, key, text) in [
            (Operator::StringEquals, "g:Unknown", "a"),
            (Operator::StringEquals, "g:ResourceTag/", "a"),
            (Operator::StringEquals, SOURCE_IP, "192.0.2.1"),
            (Operator::IpAddress, SOURCE_IP, "192.0.2.1/33"),
            (Operator::IpAddress, SOURCE_IP, "here"),
            (Operator::IpAddress, USER_NAME, "192.0.2.1"),
            (Operator::DateLessThan, CURRENT_TIME, "tomorrow"),
            (Operator::Bool, WIDENS_AUTHORIZATION, "yes"),
            (Operator::StringLike, WIDENS_AUTHORIZATION, "*"),
        ] {
            assert!(
                problem(operator, key, &value(text)).is_some(),
                "{key} {text}"
            );
        }
    }
}
