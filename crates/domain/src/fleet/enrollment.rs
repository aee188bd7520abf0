//! Whether a token lets an agent in.

use std::net::IpAddr;

use outfitter_agent_protocol::REQUEST_UNKNOWN;

use super::network::Network;
use super::tag::TAGS_PER_DESKTOP_MAX;
use crate::time::Millis;

/// Why an agent may not enroll. [`EnrollmentRefusal::code`] is what `agent_protocol::EnrollRefusal` carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EnrollmentRefusal {
    /// No such token, or a wrong secret: one answer for both.
    #[error("the enrollment token is not known here: ask an administrator for a new one")]
    TokenUnknown,
    /// Revoked by an administrator.
    #[error("the enrollment token was revoked: ask an administrator for a new one")]
    TokenRevoked,
    /// Its time is over.
    #[error("the enrollment token has expired: ask an administrator for a new one")]
    TokenExpired,
    /// Every use is taken.
    #[error("the enrollment token has no use left: ask an administrator for a new one")]
    TokenUsedUp,
    /// The agent calls from elsewhere. Where it might call from is not told.
    #[error(
        "the enrollment token may not be used from this machine's network: ask an administrator for one that may"
    )]
    OtherNetwork,
    /// The desktop would have too many tags.
    #[error(
        "with the tags of this enrollment token the desktop would have more than {TAGS_PER_DESKTOP_MAX}: ask an administrator to take some off"
    )]
    TooManyTags,
    /// No name of a desktop, or of a user.
    #[error("the name cannot be a desktop's or a user's: see --name and --user")]
    NameInvalid,
    /// A live agent stands for that desktop.
    #[error(
        "a desktop of this name has a live agent: choose another --name, or use a token that may re-enroll"
    )]
    NameTaken,
    /// The machine is the one that the desktop's live agent stands for, which may still be there.
    #[error(
        "the agent of this machine's desktop was heard of a moment ago: stop it, and try again in a few minutes"
    )]
    StillSeen,
    /// The token is for another desktop.
    #[error(
        "this enrollment token is for another desktop: ask an administrator for one of your own"
    )]
    OtherDesktop,
    /// The token may not attach a user.
    #[error("this enrollment token may not attach a user: leave --user out, or use one that may")]
    MayNotAttach,
    /// The token demands approval.
    #[error(
        "this enrollment token demands an administrator's approval, which this agent cannot wait for: install a newer agent"
    )]
    ApprovalNeeded,
    /// Too many wait in the project.
    #[error(
        "too many desktops wait for approval already: ask an administrator to decide about them, then try again"
    )]
    TooManyWaiting,
    /// No such request, another key, or its time is over: one answer for all.
    #[error(
        "this enrollment is not known here, or nobody approved it in time: run `outfitter-agent enroll` again"
    )]
    RequestUnknown,
    /// An administrator said no.
    #[error(
        "an administrator refused this desktop: ask why, then run `outfitter-agent enroll` again"
    )]
    ApprovalRefused,
}

impl EnrollmentRefusal {
    /// The stable code on the wire.
    pub const fn code(self) -> &'static str {
        match self {
            Self::TokenUnknown => "token_unknown",
            Self::TokenRevoked => "token_revoked",
            Self::TokenExpired => "token_expired",
            Self::TokenUsedUp => "token_used_up",
            Self::OtherNetwork => "other_network",
            Self::TooManyTags => "too_many_tags",
            Self::NameInvalid => "name_invalid",
            Self::NameTaken => "name_taken",
            Self::StillSeen => "still_seen",
            Self::OtherDesktop => "other_desktop",
            Self::MayNotAttach => "may_not_attach",
            Self::ApprovalNeeded => "approval_needed",
            Self::TooManyWaiting => "too_many_waiting",
            Self::RequestUnknown => REQUEST_UNKNOWN,
            Self::ApprovalRefused => "approval_refused",
        }
    }
}

/// What the decision about a token needs to know of its row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenFacts {
    /// Uses allowed; `None`: any number.
    pub max_uses: Option<i64>,
    /// Uses taken.
    pub uses: i64,
    /// First instant at which it is no longer valid; `None`: never.
    pub expires_at: Option<Millis>,
    /// When it was revoked.
    pub revoked_at: Option<Millis>,
    /// Networks that it may be used from; empty: any.
    pub networks: Vec<Network>,
}

/// Whether a token lets one more agent in, who calls from `peer`.
///
/// # Errors
/// The reason, the most final first.
pub fn decide_token(
    token: &TokenFacts,
    peer: IpAddr,
    now: Millis,
) -> Result<(), EnrollmentRefusal> {
    if token.revoked_at.is_some() {
        return Err(EnrollmentRefusal::TokenRevoked);
    }
    if token.expires_at.is_some_and(|end| now >= end) {
        return Err(EnrollmentRefusal::TokenExpired);
    }
    if token.max_uses.is_some_and(|max| token.uses >= max) {
        return Err(EnrollmentRefusal::TokenUsedUp);
    }
    let mut networks = token.networks.iter();
    if !token.networks.is_empty() && !networks.any(|network| network.holds(peer)) {
        return Err(EnrollmentRefusal::OtherNetwork);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis::new(1_000);

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

    fn token() -> TokenFacts {
        TokenFacts {
            max_uses: Some(2),
            uses: 1,
            expires_at: Some(Millis::new(1_001)),
            revoked_at: None,
            networks: Vec::new(),
        }
    }

    #[test]
    fn a_token_is_valid_until_its_last_use_and_its_last_millisecond() {
        assert_eq!(decide_token(&token(), PEER, NOW), Ok(()));
        assert_eq!(
            decide_token(&TokenFacts { uses: 2, ..token() }, PEER, NOW),
            Err(EnrollmentRefusal::TokenUsedUp)
        );
        assert_eq!(
            decide_token(&token(), PEER, Millis::new(1_001)),
            Err(EnrollmentRefusal::TokenExpired)
        );
        let revoked = TokenFacts {
            revoked_at: Some(NOW),
            ..token()
        };
        assert_eq!(
            decide_token(&revoked, PEER, Millis::new(2_000)),
            Err(EnrollmentRefusal::TokenRevoked)
        );
    }

    #[test]
    fn a_token_without_limits_never_ends() {
        let endless = TokenFacts {
            max_uses: None,
            uses: i64::MAX,
            expires_at: None,
            revoked_at: None,
            networks: Vec::new(),
        };
        assert_eq!(decide_token(&endless, PEER, Millis::new(i64::MAX)), Ok(()));
    }

    #[test]
    fn a_token_with_networks_is_good_from_one_of_them_alone() {
        let from = |networks: &[&str]| {
            let networks = networks.iter().map(|text| text.parse().unwrap()).collect();
            decide_token(
                &TokenFacts {
                    networks,
                    ..token()
                },
                PEER,
                NOW,
            )
        };
        assert_eq!(from(&["10.0.0.0/8", "192.0.2.0/24"]), Ok(()));
        assert_eq!(
            from(&["10.0.0.0/8", "2001:db8::/32"]),
            Err(EnrollmentRefusal::OtherNetwork)
        );
        // Whoever holds a token that is over learns that it is over, wherever they are.
        let used_up = TokenFacts {
            uses: 2,
            networks: vec!["10.0.0.0/8".parse().unwrap()],
            ..token()
        };
        assert_eq!(
            decide_token(&used_up, PEER, NOW),
            Err(EnrollmentRefusal::TokenUsedUp)
        );
        let said = EnrollmentRefusal::OtherNetwork.to_string();
        assert!(!said.contains("10.0.0.0"), "{said}");
    }
}
