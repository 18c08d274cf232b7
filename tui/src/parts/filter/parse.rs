//! From text to terms.

use jiff::{Timestamp, civil, tz::TimeZone};
use regex::{Regex, RegexBuilder};

use super::{FilterError, LEVELS, Order, Term, Test, level_of};

/// How many parentheses may be in each other.
const DEEPEST: usize = 32;

/// What a compiled expression may take, in bytes.
const LARGEST_PATTERN: usize = 1 << 20;

const DAY_MS: i64 = 86_400_000;

pub(super) fn parse(text: &str, now_ms: i64) -> Result<Option<Term>, FilterError> {
    let mut parser = Parser { text: text.chars().collect(), at: 0, depth: 0, now_ms };
    let term = parser.any()?;
    match parser.peek() {
        Some(_) => Err(parser.error(parser.at, "nothing is open that `)` closes; quote it to search for it")),
        None => Ok(term),
    }
}

/// Reads a number with or without a unit: `12`, `1.5k`, `250ms`, `2h`. Durations are milliseconds.
pub(super) fn number(text: &str) -> Option<f64> {
    let digits = text.find(|character: char| character.is_ascii_alphabetic()).unwrap_or(text.len());
    let (digits, unit) = text.split_at_checked(digits)?;
    let scale = match unit {
        "" | "ms" => 1.0,
        "s" => 1e3,
        "m" => 60e3,
        "h" => 3600e3,
        "d" => 86_400e3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        _ => return None,
    };
    digits.parse::<f64>().ok().map(|number| number * scale)
}

struct Parser {
    text: Vec<char>,
    at: usize,
    depth: usize,
    now_ms: i64,
}

impl Parser {
    fn error(&self, column: usize, message: impl Into<String>) -> FilterError {
        FilterError { column: column.min(self.text.len()), message: message.into() }
    }

    fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

    fn skip_spaces(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
    }

    fn any(&mut self) -> Result<Option<Term>, FilterError> {
        let mut terms = Vec::new();
        loop {
            let all = self.all()?;
            let is_more = self.peek() == Some('|');
            match all {
                Some(term) => terms.push(term),
                None if is_more => return Err(self.error(self.at, "`|` needs something before it")),
                None if !terms.is_empty() => return Err(self.error(self.at, "`|` needs something after it")),
                None => {}
            }
            if !is_more {
                break;
            }
            self.at += 1;
        }
        Ok(if terms.len() > 1 { Some(Term::Any(terms)) } else { terms.pop() })
    }

    fn all(&mut self) -> Result<Option<Term>, FilterError> {
        let mut terms = Vec::new();
        loop {
            self.skip_spaces();
            match self.peek() {
                None | Some('|' | ')') => break,
                Some(_) => terms.push(self.term()?),
            }
        }
        Ok(if terms.len() > 1 { Some(Term::All(terms)) } else { terms.pop() })
    }

    fn term(&mut self) -> Result<Term, FilterError> {
        let mut is_negated = false;
        // A dash by itself is a text.
        while self.peek() == Some('-') && self.text.get(self.at + 1).is_some_and(|next| !ends_term(*next)) {
            is_negated = !is_negated;
            self.at += 1;
        }
        let term = match self.peek() {
            Some('(') => self.parentheses()?,
            Some('"') => Term::Text(self.literal(false)?),
            Some('/') if self.end_of_pattern().is_some() => Term::Text(self.pattern()?),
            _ => self.word()?,
        };
        Ok(if is_negated { Term::Not(Box::new(term)) } else { term })
    }

    fn parentheses(&mut self) -> Result<Term, FilterError> {
        let start = self.at;
        if self.depth == DEEPEST {
            return Err(self.error(start, format!("more than {DEEPEST} parentheses are in each other")));
        }
        self.at += 1;
        self.depth += 1;
        let term = self.any()?;
        self.depth -= 1;
        if self.peek() != Some(')') {
            return Err(self.error(start, "`(` is not closed"));
        }
        self.at += 1;
        term.ok_or_else(|| self.error(start, "nothing is in the parentheses"))
    }

    /// A word by itself, or a field with what it must be.
    fn word(&mut self) -> Result<Term, FilterError> {
        let Some(name) = self.name() else { return self.literal(false).map(Term::Text) };
        let operator = self.at;
        let order = match (self.peek(), self.text.get(self.at + 1)) {
            (Some('>'), Some('=')) => Some(Order::AtLeast),
            (Some('<'), Some('=')) => Some(Order::AtMost),
            (Some('>'), _) => Some(Order::More),
            (Some('<'), _) => Some(Order::Less),
            (Some('='), _) => Some(Order::Equal),
            _ => None,
        };
        self.at += if matches!(order, Some(Order::AtLeast | Order::AtMost)) { 2 } else { 1 };
        if self.peek().is_none_or(|next| next == '(' || ends_term(next)) {
            let sign: String = self.text.get(operator..self.at).unwrap_or_default().iter().collect();
            return Err(self.error(self.at, format!("`{name}{sign}` needs a value")));
        }
        match (name.as_str(), order) {
            ("since" | "from" | "to", None | Some(Order::Equal)) => self.time(&name),
            (_, Some(Order::Equal)) => {
                let test = self.test(true, name == "level")?;
                Ok(Term::Field(name, test))
            }
            (_, Some(order)) => {
                let test = self.limit(&name, order)?;
                Ok(Term::Field(name, test))
            }
            (_, None) => {
                let test = self.test(false, name == "level")?;
                Ok(Term::Field(name, test))
            }
        }
    }

    /// Reads the name of a field up to its operator. Addresses and paths of code are no fields.
    fn name(&mut self) -> Option<String> {
        let rest = self.text.get(self.at..)?;
        let end = rest.iter().position(|character| !is_of_name(*character))?;
        let is_name = rest.first().is_some_and(|first| first.is_alphabetic() || *first == '_');
        let is_operator = match rest.get(end)? {
            ':' => !matches!(rest.get(end + 1..), Some([':', ..] | ['/', '/', ..])),
            '>' | '<' | '=' => true,
            _ => false,
        };
        (is_name && is_operator).then(|| {
            self.at += end;
            rest_to_text(self.text.get(self.at - end..self.at)).to_lowercase()
        })
    }

    fn test(&mut self, is_whole: bool, is_level: bool) -> Result<Test, FilterError> {
        match self.peek() {
            Some('/') if self.end_of_pattern().is_some() => return Ok(Test::Matches(self.pattern()?, None)),
            Some('"') => return Ok(Test::Matches(self.literal(is_whole)?, None)),
            _ => {}
        }
        let start = self.at;
        let word = self.bare();
        if word == "*" {
            return Ok(Test::Present);
        }
        if is_level && let Some(level) = level_of(&word) {
            return Ok(Test::Level(Order::Equal, level));
        }
        Ok(Test::Matches(self.compiled(&literal(&word, is_whole), start)?, word.parse().ok()))
    }

    fn limit(&mut self, name: &str, order: Order) -> Result<Test, FilterError> {
        let start = self.at;
        let word = self.bare();
        if name == "level" {
            let level = level_of(&word);
            let expected = LEVELS.join(", ");
            return level
                .map(|level| Test::Level(order, level))
                .ok_or_else(|| self.error(start, format!("`{word}` is no level: {expected}")));
        }
        let Some(number) = number(&word) else {
            return Err(self.error(start, format!("`{word}` is no number to compare with: 12, 1.5k, 250ms, 2h")));
        };
        Ok(Test::Number(order, number))
    }

    fn time(&mut self, name: &str) -> Result<Term, FilterError> {
        let start = self.at;
        let quoted = (self.peek() == Some('"')).then(|| self.quoted()).transpose()?;
        let word = quoted.unwrap_or_else(|| self.bare());
        if let Some(ago) = ago(&word) {
            let time = self.now_ms.saturating_sub(ago);
            return Ok(Term::Time(if name == "to" { (None, Some(time)) } else { (Some(time), None) }));
        }
        let Some((time, is_day)) = moment(&word, self.now_ms) else {
            let message = format!("`{word}` is no time: 15m, 24h, 10:30, 2026-11-26, 2026-11-26T10:00");
            return Err(self.error(start, message));
        };
        // Until a day is until its end.
        let end = if is_day { time.saturating_add(DAY_MS) } else { time };
        Ok(Term::Time(if name == "to" { (None, Some(end)) } else { (Some(time), None) }))
    }

    /// Reads up to where a word ends. Colons and slashes are of it, and so is what is not understood.
    fn bare(&mut self) -> String {
        let start = self.at;
        while self.peek().is_some_and(|character| !ends_word(character)) {
            self.at += 1;
        }
        rest_to_text(self.text.get(start..self.at))
    }

    fn literal(&mut self, is_whole: bool) -> Result<Regex, FilterError> {
        let start = self.at;
        let text = if self.peek() == Some('"') { self.quoted()? } else { self.bare() };
        self.compiled(&literal(&text, is_whole), start)
    }

    fn quoted(&mut self) -> Result<String, FilterError> {
        let start = self.at;
        let mut text = String::new();
        self.at += 1;
        loop {
            match (self.peek(), self.text.get(self.at + 1)) {
                (None, _) => return Err(self.error(start, "`\"` is not closed")),
                (Some('"'), _) => break,
                (Some('\\'), Some(escaped @ ('"' | '\\'))) => {
                    text.push(*escaped);
                    self.at += 2;
                }
                (Some(character), _) => {
                    text.push(character);
                    self.at += 1;
                }
            }
        }
        self.at += 1;
        Ok(text)
    }

    /// Where the slash is that ends an expression. Without one the first is the start of a path.
    fn end_of_pattern(&self) -> Option<usize> {
        let mut at = self.at + 1;
        while let Some(character) = self.text.get(at) {
            match character {
                '\\' => at += 1,
                '/' if at > self.at + 1 && self.text.get(at + 1).is_none_or(|next| ends_word(*next)) => {
                    return Some(at);
                }
                _ => {}
            }
            at += 1;
        }
        None
    }

    fn pattern(&mut self) -> Result<Regex, FilterError> {
        let start = self.at;
        let end = self.end_of_pattern().unwrap_or(self.text.len());
        let pattern = rest_to_text(self.text.get(start + 1..end)).replace("\\/", "/");
        self.at = (end + 1).min(self.text.len());
        self.compiled(&pattern, start)
    }

    fn compiled(&self, pattern: &str, column: usize) -> Result<Regex, FilterError> {
        let compiled = RegexBuilder::new(pattern).case_insensitive(true).size_limit(LARGEST_PATTERN).build();
        compiled.map_err(|error| {
            let said = error.to_string();
            // What the parser of expressions says is a drawing of many lines; the last one says it in words.
            let reason = said.lines().last().unwrap_or_default();
            let reason = reason.strip_prefix("error: ").unwrap_or(reason);
            self.error(column, format!("the expression is not valid: {reason}"))
        })
    }
}

fn rest_to_text(characters: Option<&[char]>) -> String {
    characters.unwrap_or_default().iter().collect()
}

fn literal(text: &str, is_whole: bool) -> String {
    let escaped = regex::escape(text);
    if is_whole { format!("^{escaped}$") } else { escaped }
}

fn is_of_name(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '-' | '.')
}

fn ends_word(character: char) -> bool {
    ends_term(character) || matches!(character, '(' | '"')
}

fn ends_term(character: char) -> bool {
    character.is_whitespace() || matches!(character, '|' | ')')
}

/// Reads a duration: `15m`, `1h30m`.
fn ago(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut sum = 0_i64;
    while !rest.is_empty() {
        let digits = rest.find(|character: char| !character.is_ascii_digit())?;
        let (number, after) = rest.split_at_checked(digits)?;
        let unit = after.find(|character: char| !character.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(unit)?;
        let scale = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => DAY_MS,
            "w" => 7 * DAY_MS,
            _ => return None,
        };
        sum = sum.saturating_add(number.parse::<i64>().ok()?.saturating_mul(scale));
        rest = after;
    }
    (!text.is_empty()).then_some(sum)
}

/// Reads a time in one of the ways people write it, and tells whether it is a whole day.
fn moment(text: &str, now_ms: i64) -> Option<(i64, bool)> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some((time.as_millisecond(), false));
    }
    let in_utc = |at: civil::DateTime| at.to_zoned(TimeZone::UTC).ok().map(|at| at.timestamp().as_millisecond());
    if let Ok(date) = text.parse::<civil::Date>()
        && !text.contains(['T', 't', ' '])
    {
        return in_utc(date.at(0, 0, 0, 0)).map(|time| (time, true));
    }
    if let Ok(at) = text.parse::<civil::DateTime>() {
        return in_utc(at).map(|time| (time, false));
    }
    let time = text.parse::<civil::Time>().ok()?;
    let today = Timestamp::from_millisecond(now_ms).ok()?.to_zoned(TimeZone::UTC).date();
    in_utc(today.to_datetime(time)).map(|time| (time, false))
}
