//! Addresses of brokers as they are typed. Pure.

use std::fmt;

use super::error::{ClientError, Result};

/// Kafka's port, where none is given.
const DEFAULT_PORT: u16 = 9092;

/// Host name or literal, and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub host: String,
    pub port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// `HOST:PORT`, several separated by commas; the port may be left out.
pub fn parse_list(text: &str) -> Result<Vec<Address>> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(parse).collect()
}

fn parse(text: &str) -> Result<Address> {
    let (host, port) = split(text);
    let port = port.map_or(Ok(DEFAULT_PORT), str::parse).ok().filter(|port| *port != 0);
    match port {
        Some(port) if !host.is_empty() => Ok(Address { host: host.to_string(), port }),
        _ => Err(ClientError::BadAddress { text: text.to_string() }),
    }
}

fn split(text: &str) -> (&str, Option<&str>) {
    if let Some((host, rest)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (host, rest.strip_prefix(':'));
    }
    match text.split_once(':') {
        Some((_, rest)) if rest.contains(':') => (text, None),
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        parse_list(text).unwrap().iter().map(Address::to_string).collect()
    }

    #[test]
    fn addresses_are_names_or_literals_with_a_port_or_without() {
        assert_eq!(shown("localhost"), ["localhost:9092"]);
        assert_eq!(shown("a:1, b:2"), ["a:1", "b:2"]);
        assert_eq!(shown("[::1]:9000,::1"), ["[::1]:9000", "[::1]:9092"]);
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for bad in ["host:", "host:port", ":9092", "host:0", "host:70000"] {
            assert!(parse_list(bad).is_err(), "{bad}");
        }
    }
}
