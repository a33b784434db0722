//! Reads `listeners`, `advertised.listeners` and the protocol map.
//! Never resolves a name and never binds. Pure functions: any core.

use std::collections::BTreeMap;
use std::fmt;

/// How a listener's connections are secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecurityProtocol {
    Plaintext,
    Ssl,
    SaslPlaintext,
    SaslSsl,
}

impl SecurityProtocol {
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name.to_ascii_uppercase().as_str() {
            "PLAINTEXT" => Some(Self::Plaintext),
            "SSL" => Some(Self::Ssl),
            "SASL_PLAINTEXT" => Some(Self::SaslPlaintext),
            "SASL_SSL" => Some(Self::SaslSsl),
            _ => None,
        }
    }

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "PLAINTEXT",
            Self::Ssl => "SSL",
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::SaslSsl => "SASL_SSL",
        }
    }

    /// The protocol's number in metadata records.
    #[must_use]
    pub const fn id(self) -> i16 {
        match self {
            Self::Plaintext => 0,
            Self::Ssl => 1,
            Self::SaslPlaintext => 2,
            Self::SaslSsl => 3,
        }
    }
}

/// A host name or address, without brackets, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// Empty means every interface.
    pub host: String,
    /// 0 means any free port.
    pub port: u16,
}

impl HostPort {
    /// Parses `host:port`, `[v6]:port` or `:port`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let bare = host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
        let has_loose_bracket = bare.is_none() && host.contains(['[', ']']);
        let fits = |c: char| c.is_ascii_alphanumeric() || "-%._:".contains(c);
        let host = bare.unwrap_or(host);
        if has_loose_bracket || !host.chars().all(fits) {
            return None;
        }
        let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
        let port = if is_number { port.parse().ok()? } else { return None };
        Some(Self { host: host.to_owned(), port })
    }

    /// Whether it means every interface, in words or by address.
    #[must_use]
    pub fn is_every_interface(&self) -> bool {
        matches!(self.host.as_str(), "" | "0.0.0.0" | "::" | "0:0:0:0:0:0:0:0")
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// `NAME://host:port`; the name is in upper case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub name: String,
    pub address: HostPort,
}

/// Parses a list of endpoints with different names.
///
/// # Errors
/// A sentence that names the entry.
pub fn parse_endpoints(items: &[String]) -> Result<Vec<Endpoint>, String> {
    let mut endpoints: Vec<Endpoint> = Vec::with_capacity(items.len());
    for item in items {
        let endpoint = parse_endpoint(item)?;
        if endpoints.iter().any(|other| other.name == endpoint.name) {
            return Err(format!(
                "each listener must have a different name, but {} stands twice",
                endpoint.name
            ));
        }
        endpoints.push(endpoint);
    }
    Ok(endpoints)
}

fn parse_endpoint(item: &str) -> Result<Endpoint, String> {
    let parsed = item.split_once("://").and_then(|(name, address)| {
        let address = HostPort::parse(address)?;
        let name = name.trim().to_ascii_uppercase();
        (!name.is_empty()).then_some(Endpoint { name, address })
    });
    parsed.ok_or_else(|| {
        format!("cannot read '{item}': a listener is NAME://host:port, with a port up to 65535")
    })
}

/// Parses `NAME:PROTOCOL,…`.
///
/// # Errors
/// A sentence that names the entry.
pub fn parse_protocol_map(text: &str) -> Result<BTreeMap<String, SecurityProtocol>, String> {
    let entries = text.split(',').map(str::trim);
    let mut map = BTreeMap::new();
    for entry in entries.filter(|entry| !entry.is_empty()) {
        let Some((name, protocol)) = entry.split_once(':') else {
            return Err(format!("cannot read '{entry}': an entry is NAME:PROTOCOL"));
        };
        let protocol = SecurityProtocol::parse(protocol.trim())
            .ok_or_else(|| format!("Invalid security protocol `{}`", protocol.trim()))?;
        map.insert(name.trim().to_ascii_uppercase(), protocol);
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(items: &[&str]) -> Result<Vec<Endpoint>, String> {
        let items: Vec<String> = items.iter().map(ToString::to_string).collect();
        parse_endpoints(&items)
    }

    #[test]
    fn names_are_free_and_become_upper_case() {
        let parsed = endpoints(&["internal://b-1.example.com:19092"]).unwrap();
        assert_eq!(parsed[0].name, "INTERNAL");
        assert_eq!(parsed[0].address.to_string(), "b-1.example.com:19092");
    }

    #[test]
    fn ipv6_stands_in_brackets_and_is_kept_without_them() {
        let parsed = endpoints(&["PLAINTEXT://[fe80::1%eth0]:9092"]).unwrap();
        assert_eq!(parsed[0].address.host, "fe80::1%eth0");
        assert_eq!(parsed[0].address.to_string(), "[fe80::1%eth0]:9092");
    }

    #[test]
    fn an_empty_host_is_every_interface_and_port_0_is_any() {
        let parsed = endpoints(&["PLAINTEXT://:0"]).unwrap();
        assert!(parsed[0].address.is_every_interface());
        assert_eq!(parsed[0].address.port, 0);
    }

    #[test]
    fn what_is_not_an_endpoint_is_refused_by_name() {
        for bad in
            ["PLAINTEXT://h", "h:1", "://h:1", "A://h:70000", "A://h:-1", "A://h h:1", "A://[::1:1", ""]
        {
            let error = endpoints(&[bad]).unwrap_err();
            assert!(error.contains(&format!("'{bad}'")), "{error}");
        }
    }

    #[test]
    fn a_name_may_stand_once() {
        let error = endpoints(&["A://:1", "a://:2"]).unwrap_err();
        assert!(error.contains("A stands twice"));
    }

    #[test]
    fn the_protocol_map_takes_any_name_and_only_known_protocols() {
        let map = parse_protocol_map("EXT:plaintext, INT:SASL_SSL").unwrap();
        assert_eq!(map["EXT"], SecurityProtocol::Plaintext);
        assert_eq!(map["INT"], SecurityProtocol::SaslSsl);
        assert!(parse_protocol_map("A:B").unwrap_err().contains("`B`"));
        assert!(parse_protocol_map("A").is_err());
    }
}
