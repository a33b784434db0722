//! The notation of `schema/*.kring`, read into values. Explained in `schema/README.md`.

/// Inclusive; empty when `min > max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    pub min: i16,
    pub max: i16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Request,
    Response,
    Header,
    Data,
    Record,
    Key,
    Value,
}

#[derive(Debug)]
pub struct Message {
    pub name: String,
    /// The file it is written in, without the extension.
    pub family: String,
    pub kind: Kind,
    pub key: Option<i16>,
    pub versions: Versions,
    pub flexible: Versions,
    pub listeners: Vec<String>,
    pub unstable: bool,
    /// The message's own struct first, then those inside it.
    pub structs: Vec<Struct>,
}

#[derive(Debug)]
pub struct Struct {
    pub name: String,
    pub fields: Vec<Field>,
}

#[derive(Debug)]
pub struct Field {
    pub name: String,
    pub ty: Type,
    pub versions: Versions,
    pub nullable: Versions,
    pub tag: Option<u32>,
    pub plain: bool,
    pub default: Option<String>,
    pub ignorable: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Type {
    pub array: bool,
    /// The notation's name: a primitive in lower case or a struct.
    pub base: String,
}

impl Versions {
    pub const NONE: Self = Self { min: 0, max: -1 };

    /// `3`, `3-5`, `3+` or `none`.
    pub fn parse(text: &str) -> Self {
        let number = |digits: &str| digits.parse().unwrap_or_else(|_| panic!("not a version range: {text}"));
        match text.split_once('-') {
            _ if text == "none" => Self::NONE,
            Some((min, max)) => Self { min: number(min), max: number(max) },
            None => match text.strip_suffix('+') {
                Some(min) => Self { min: number(min), max: i16::MAX },
                None => Self { min: number(text), max: number(text) },
            },
        }
    }

    pub fn is_empty(self) -> bool {
        self.min > self.max
    }

    pub fn and(self, other: Self) -> Self {
        let both = Self { min: self.min.max(other.min), max: self.max.min(other.max) };
        if both.is_empty() { Self::NONE } else { both }
    }

    pub fn contains(self, other: Self) -> bool {
        self.and(other) == other
    }
}

impl Type {
    fn parse(text: &str) -> Self {
        let base = text.strip_prefix("[]");
        Self { array: base.is_some(), base: base.unwrap_or(text).to_owned() }
    }

    pub fn is_struct(&self) -> bool {
        self.base.starts_with(|c: char| c.is_ascii_uppercase())
    }
}

/// One line, cut into words, with its depth.
struct Line<'a> {
    depth: usize,
    words: Vec<&'a str>,
}

pub fn parse(text: &str, family: &str) -> Vec<Message> {
    let lines: Vec<Line<'_>> = text.lines().filter(|line| !line.trim().is_empty()).map(cut).collect();
    let mut rest = &lines[..];
    let mut messages = Vec::new();
    while let Some((head, tail)) = rest.split_first() {
        assert!(
            head.depth == 0 && head.words[0] == "message",
            "{family}: expected `message`: {:?}",
            head.words
        );
        let end = tail.iter().position(|line| line.depth == 0).unwrap_or(tail.len());
        let mut message = header(&head.words, family);
        let name = message.name.clone();
        structure(&name, &tail[..end], 1, &mut message);
        check(&message);
        messages.push(message);
        rest = &tail[end..];
    }
    messages
}

fn cut(line: &str) -> Line<'_> {
    let indent = line.len() - line.trim_start().len();
    assert!(indent.is_multiple_of(2), "odd indentation: {line}");
    Line { depth: indent / 2, words: line.split_whitespace().collect() }
}

fn header(words: &[&str], family: &str) -> Message {
    let after = |word: &str| words.iter().position(|w| *w == word).map(|at| words[at + 1]);
    let ranges = |word: &str| Versions::parse(after(word).unwrap_or_else(|| panic!("no {word}: {words:?}")));
    let listeners = after("listeners").map(|list| list.split(',').map(str::to_owned).collect());
    Message {
        name: words[1].to_owned(),
        family: family.to_owned(),
        kind: kind(words[2]),
        key: words[3].parse().ok(),
        versions: ranges("versions"),
        flexible: ranges("flexible"),
        listeners: listeners.unwrap_or_default(),
        unstable: words.contains(&"unstable"),
        structs: Vec::new(),
    }
}

fn kind(word: &str) -> Kind {
    match word {
        "request" => Kind::Request,
        "response" => Kind::Response,
        "header" => Kind::Header,
        "data" => Kind::Data,
        "record" => Kind::Record,
        "key" => Kind::Key,
        "value" => Kind::Value,
        _ => panic!("unknown kind of message: {word}"),
    }
}

/// Reads the lines of one struct, and of the structs inside it, into `message`.
fn structure(name: &str, lines: &[Line<'_>], depth: usize, message: &mut Message) {
    let at = message.structs.len();
    message.structs.push(Struct { name: name.to_owned(), fields: Vec::new() });
    let mut rest = lines;
    while let Some((line, tail)) = rest.split_first() {
        assert_eq!(line.depth, depth, "{name}: wrong depth: {:?}", line.words);
        let end = tail.iter().position(|line| line.depth <= depth).unwrap_or(tail.len());
        let inner = &tail[..end];
        if line.words[0] == "struct" {
            structure(line.words[1], inner, depth + 1, message);
        } else {
            let field = field(&line.words);
            if !inner.is_empty() {
                structure(&field.ty.base, inner, depth + 1, message);
            }
            message.structs[at].fields.push(field);
        }
        rest = &tail[end..];
    }
}

fn field(words: &[&str]) -> Field {
    let mut field = Field {
        name: words[0].to_owned(),
        ty: Type::parse(words[1]),
        versions: Versions::parse(words[2]),
        nullable: Versions::NONE,
        tag: None,
        plain: false,
        default: None,
        ignorable: false,
    };
    let mut rest = words[3..].iter();
    while let Some(word) = rest.next() {
        match *word {
            "null" => field.nullable = Versions::parse(next(&mut rest)),
            "tag" => {
                field.tag = Some(next(&mut rest).parse().expect("a tag is a number"));
                let tagged = Versions::parse(next(&mut rest));
                assert_eq!(tagged, field.versions, "a field that is tagged in some versions only: {words:?}");
            }
            "plain" => field.plain = true,
            "=" => field.default = Some(next(&mut rest).to_owned()),
            "ignorable" => field.ignorable = true,
            _ => panic!("unknown word {word}: {words:?}"),
        }
    }
    field
}

fn next<'a>(rest: &mut std::slice::Iter<'_, &'a str>) -> &'a str {
    rest.next().expect("a word is missing")
}

fn check(message: &Message) {
    let mut names: Vec<_> = message.structs.iter().map(|s| &s.name).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), message.structs.len(), "{}: two structs of one name", message.name);
    for field in message.structs.iter().flat_map(|s| &s.fields) {
        let known = !field.ty.is_struct() || names.contains(&&field.ty.base);
        assert!(known, "{}: no struct {}", message.name, field.ty.base);
        let tags_fit = field.tag.is_none() || message.flexible.contains(field.versions.and(message.versions));
        let tagged_struct = field.tag.is_some() && field.ty.is_struct() && !field.ty.array;
        let always_null = field.nullable == Versions::NONE || field.nullable.contains(field.versions);
        assert!(!tagged_struct || always_null, "{}: {} is null in some versions", message.name, field.name);
        assert!(tags_fit, "{}: {} is tagged in a version that is not flexible", message.name, field.name);
    }
}
