//! Networks of desktops.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// An address and the length of its prefix, the bits of hosts zero. Its text form is `ADDRESS/LENGTH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "IpNet", into = "IpNet")]
pub struct Network(IpNet);

/// Text that is no network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no network: write ADDRESS/LENGTH, with the bits of hosts zero")]
pub struct NetworkError;

impl Network {
    /// Whether an address lies in it. An IPv4 address that came as an IPv6 one is the same address.
    pub fn holds(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }

    /// Length of the prefix in bits: of two networks that hold an address, the longer one is the narrower.
    pub fn prefix_bits(&self) -> u8 {
        self.0.prefix_len()
    }
}

impl TryFrom<IpNet> for Network {
    type Error = NetworkError;

    fn try_from(net: IpNet) -> Result<Self, NetworkError> {
        if net.trunc() == net {
            Ok(Self(net))
        } else {
            Err(NetworkError)
        }
    }
}

impl From<Network> for IpNet {
    fn from(network: Network) -> Self {
        network.0
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        text.parse::<IpNet>().map_err(|_| NetworkError)?.try_into()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_its_own_addresses_and_no_others() {
        let holds = |network: &str, address: &str| {
            let network: Network = network.parse().unwrap();
            network.holds(address.parse().unwrap())
        };
        assert!(holds("10.1.0.0/16", "10.1.255.1"));
        assert!(holds("10.1.0.0/16", "::ffff:10.1.255.1"));
        assert!(!holds("10.1.0.0/16", "10.2.0.1"));
        assert!(holds("0.0.0.0/0", "192.0.2.1"));
        assert!(!holds("0.0.0.0/0", "2001:db8::1"));
        assert!(holds("192.0.2.1/32", "192.0.2.1"));
        assert!(holds("2001:db8::/32", "2001:db8:1::1"));
        assert!(!holds("2001:db8::/32", "2001:db9::1"));
        for wrong in [
            "",
            "10.1.0.0",
            "10.1.0.1/16",
            "10.1.0.0/33",
            "10.1.0.0/-1",
            "2001:db8::/129",
            "here/8",
        ] {
            assert_eq!(wrong.parse::<Network>(), Err(NetworkError), "{wrong}");
        }
    }
}
