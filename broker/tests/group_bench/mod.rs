//! Runs a group coordinator from text, with a log in memory that is durable when it is told to be.

mod parse;
mod print;

use std::collections::VecDeque;

use bytes::{BufMut, Bytes, BytesMut};
use kring_broker::coordinator::{Coordinator, CoordinatorRecord, Now, Position, Step, Token, WriteId};
use kring_broker::group::messages::{Reply, Request};
use kring_broker::group::{GroupCoordinator, GroupSettings};
use kring_wire::ErrorCode;

pub struct Bench {
    pub machine: GroupCoordinator,
    settings: GroupSettings,
    pub log: Vec<CoordinatorRecord>,
    now_ms: i64,
    held: bool,
    fail_next: Option<ErrorCode>,
    appended: Option<WriteId>,
    randoms: u8,
    names: Vec<(String, Token)>,
    out: Vec<String>,
}

/// Runs the lines of a transcript that start with `>` and compares all that came of it with the whole text.
#[track_caller]
pub fn check(transcript: &str) {
    let expected: Vec<&str> = transcript.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let mut bench = Bench::new(GroupSettings::default());
    for line in expected.iter().filter(|line| line.starts_with('>')) {
        bench.out.push((*line).to_string());
        bench.run(line.trim_start_matches('>').trim());
    }
    assert_eq!(bench.out.join("\n"), expected.join("\n"));
}

impl Bench {
    pub fn new(settings: GroupSettings) -> Bench {
        let mut bench = Bench {
            machine: GroupCoordinator::new(settings.clone()),
            settings,
            log: Vec::new(),
            now_ms: 0,
            held: false,
            fail_next: None,
            appended: None,
            randoms: 0,
            names: Vec::new(),
            out: Vec::new(),
        };
        let step = bench.machine.loaded(bench.now());
        bench.follow(step);
        bench
    }

    fn now(&self) -> Now {
        Now { wall_ms: self.now_ms, steady_ms: self.now_ms }
    }

    fn run(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[0] {
            "hold" => self.held = true,
            "flush" => {
                self.held = false;
                self.flush();
            }
            "fail" => self.fail_next = ErrorCode::all().find(|code| code.name() == words[1]),
            "max" => {
                self.settings.max_size = words[1].parse().unwrap();
                self.machine.set_settings(self.settings.clone());
            }
            "reload" => self.reload(),
            "unload" => {
                let step = self.machine.unload();
                self.follow(step);
            }
            "stable" => self.make_stable(words[1], 1),
            "stable2" => self.make_stable(words[1], 2),
            "beats" => self.beat_until(&words),
            time => self.at(time.parse().unwrap(), &words[1..]),
        }
    }

    fn at(&mut self, time_ms: i64, words: &[&str]) {
        self.advance(time_ms);
        match words {
            ["tick"] => {}
            ["show", group] => {
                let shown = print::group(&self.machine, group);
                self.out.push(self.short(&shown));
            }
            [who, verb, rest @ ..] => {
                let token = self.token_of(who, verb);
                self.randoms += 1;
                let full: Vec<String> = rest.iter().map(|word| parse::expand(word)).collect();
                let request = parse::request(verb, &full, self.randoms);
                let gave_id = self.ask(token, request);
                self.randoms -= u8::from(!gave_id);
            }
            _ => panic!("what is {words:?}"),
        }
    }

    /// True when the request used its random bytes for a new name.
    fn ask(&mut self, token: Token, request: Request) -> bool {
        let nameless = matches!(&request, Request::Join(join) if join.claim.member_id.is_empty());
        let before = self.out.len();
        let step = self.machine.handle(token, request, self.now());
        self.follow(step);
        let refused = |line: &String| {
            let errors = ["INVALID", "INCONSISTENT", "MAX_SIZE"];
            line.contains(" join ") && errors.iter().any(|error| line.contains(error))
        };
        nameless && !self.out[before..].iter().any(refused)
    }

    pub fn advance(&mut self, time_ms: i64) {
        while let Some(due_ms) = self.machine.next_deadline_ms().filter(|due_ms| *due_ms <= time_ms) {
            self.now_ms = self.now_ms.max(due_ms);
            let step = self.machine.tick(self.now());
            self.follow(step);
        }
        self.now_ms = self.now_ms.max(time_ms);
    }

    /// Does what a driver does with a step.
    fn follow(&mut self, step: Step<Reply>) {
        let mut steps = VecDeque::from([step]);
        while let Some(step) = steps.pop_front() {
            for (token, reply) in step.replies {
                let line = format!("{} {}", self.name_of(token), print::reply(&reply));
                self.out.push(self.short(line.trim_end()));
            }
            for write in step.writes {
                if let Some(error) = self.fail_next.take() {
                    steps.push_back(self.machine.append_failed(write.id, error, self.now()));
                    continue;
                }
                for record in &write.records {
                    let line = print::record(record);
                    self.out.push(self.short(&line));
                }
                self.machine.appended(write.id, i64::try_from(self.log.len()).unwrap());
                self.log.extend(write.records);
                self.appended = Some(write.id);
            }
        }
        if !self.held {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if let Some(write) = self.appended.take() {
            let step = self.machine.durable(write, self.now());
            self.follow(step);
        }
    }

    fn reload(&mut self) {
        self.machine = GroupCoordinator::new(self.settings.clone());
        for (offset, record) in (0..).zip(&self.log) {
            self.machine.replay(Position { offset, transaction: None }, record.clone()).unwrap();
        }
        let step = self.machine.loaded(self.now());
        self.follow(step);
    }

    /// A group of so many members that all work, 3,100 ms after the start.
    fn make_stable(&mut self, group: &str, members: usize) {
        let kept = self.out.len();
        self.at(0, &["a", "join", group, "v=3"]);
        if members == 2 {
            self.at(1, &["b", "join", group, "v=3"]);
        }
        self.advance(if members == 2 { 6_000 } else { 3_000 });
        self.now_ms = 3_100;
        if members == 2 {
            self.at(3_100, &["b", "sync", group, "m=app-2", "gen=1"]);
        }
        self.at(3_100, &["a", "sync", group, "m=app-1", "gen=1", "give=app-1:x,app-2:y"]);
        self.out.truncate(kept);
    }

    fn beat_until(&mut self, words: &[&str]) {
        let until_ms: i64 = words[4].trim_start_matches("until=").parse().unwrap();
        let member = format!("m={}", words[2]);
        while self.now_ms + 1_500_000 < until_ms {
            self.at(self.now_ms + 1_500_000, &["a", "beat", words[1], &member, words[3]]);
            self.out.pop_if(|line| line == "a beat NONE");
        }
    }

    fn token_of(&mut self, who: &str, verb: &str) -> Token {
        let token = Token(self.names.len() as u64);
        self.names.push((format!("{who} {verb}"), token));
        token
    }

    fn name_of(&self, token: Token) -> &str {
        &self.names[usize::try_from(token.0).unwrap()].0
    }

    /// The text with `app-1` for the long name that ends in 1.
    fn short(&self, text: &str) -> String {
        (1..=self.randoms)
            .fold(text.to_string(), |text, n| text.replace(&parse::long_suffix(n), &n.to_string()))
    }
}

/// A subscription to the topic `t`, with a mark that sets it apart from others.
pub fn subscription(mark: &str) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i16(0);
    out.put_i32(1);
    out.put_i16(1);
    out.put_slice(b"t");
    out.put_i32(i32::try_from(mark.len()).unwrap());
    out.put_slice(mark.as_bytes());
    out.freeze()
}
