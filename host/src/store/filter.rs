//! Conditions put together as a query needs them, with their values.

use super::statement::{Parameter, Statement};

/// A `WHERE` that grows.
#[derive(Debug, Default)]
pub(super) struct Filter {
    sql: String,
    values: Vec<Parameter>,
}

impl Filter {
    /// Adds a condition; each `?` in it stands for one of the values.
    pub(super) fn and(&mut self, condition: &str, values: impl IntoIterator<Item = Parameter>) {
        self.sql.push_str(if self.sql.is_empty() { " WHERE " } else { " AND " });
        let mut values = values.into_iter();
        for character in condition.chars() {
            if character == '?' {
                self.values.extend(values.next());
                self.sql.push_str(&format!("${}", self.values.len()));
            } else {
                self.sql.push(character);
            }
        }
    }

    /// Adds that a column is one of these values.
    pub(super) fn and_one_of(&mut self, column: &str, values: &[String]) {
        let places = vec!["?"; values.len()].join(", ");
        self.and(&format!("{column} IN ({places})"), values.iter().map(Parameter::from));
    }

    /// Returns the query `{head} WHERE ... {tail}`.
    pub(super) fn query(self, head: &str, tail: &str) -> Statement {
        let statement = Statement::composed(format!("{head}{} {tail}", self.sql));
        self.values.into_iter().fold(statement, Statement::bind)
    }
}

/// Returns `$first, ..., $last`.
pub(super) fn places(first: usize, n: usize) -> String {
    let places: Vec<String> = (first..first + n).map(|place| format!("${place}")).collect();
    places.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_numbered_in_order() {
        let mut filter = Filter::default();
        filter.and("a = ?", ["x".into()]);
        filter.and_one_of("b", &["y".to_owned(), "z".to_owned()]);
        assert_eq!(filter.sql, " WHERE a = $1 AND b IN ($2, $3)");
        assert_eq!(filter.values.len(), 3);
        assert_eq!(places(2, 3), "$2, $3, $4");
    }
}
