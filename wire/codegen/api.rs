//! The enum of API keys and the table of their versions.

use std::fmt::Write;

use crate::schema::{Kind, Message};

/// Above every version, as in `FLEXIBLE_FROM` of a message that is never flexible.
const NEVER: i16 = i16::MAX;

pub fn generate(messages: &[Message]) -> String {
    let mut requests: Vec<_> = messages.iter().filter(|m| m.kind == Kind::Request).collect();
    requests.sort_by_key(|m| m.key);
    let mut variants = String::new();
    let mut table = String::new();
    for (number, request) in (0i16..).zip(&requests) {
        assert_eq!(request.key, Some(number), "API keys have a hole");
        let name = api_name(request);
        let _ = writeln!(variants, "    {name} = {number},");
        let _ = writeln!(table, "    {},", entry(name, request, response_of(messages, request)));
    }
    format!(
        "/// The APIs of Kafka by number.\n\
         #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]\n#[repr(i16)]\n\
         pub enum ApiKey {{\n{variants}}}\n\nstatic APIS: &[ApiEntry] = &[\n{table}];\n"
    )
}

pub fn api_name(message: &Message) -> &str {
    let name = message.name.strip_suffix("Request").or(message.name.strip_suffix("Response"));
    name.expect("requests and responses are named so")
}

pub fn response_of<'a>(messages: &'a [Message], request: &Message) -> &'a Message {
    let same = |m: &&Message| m.kind == Kind::Response && m.key == request.key;
    messages.iter().find(same).unwrap_or_else(|| panic!("{} has no response", request.name))
}

pub fn flexible_from(message: &Message) -> i16 {
    if message.flexible.is_empty() { NEVER } else { message.flexible.min }
}

fn entry(name: &str, request: &Message, response: &Message) -> String {
    assert_eq!(request.versions, response.versions, "{name}: request and response have different versions");
    let on = |listener: &str| request.listeners.iter().any(|l| l == listener);
    format!(
        "ApiEntry {{ key: ApiKey::{name}, name: {name:?}, min_version: {}, max_version: {}, \
         request_flexible_from: {}, response_flexible_from: {}, latest_version_unstable: {}, \
         on_broker: {}, on_controller: {} }}",
        request.versions.min,
        request.versions.max,
        flexible_from(request),
        flexible_from(response),
        request.unstable,
        on("broker"),
        on("controller"),
    )
}
