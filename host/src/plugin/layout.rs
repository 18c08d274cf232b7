//! Whether a plugin's types and this host's can be used together, whichever is older.

use hotbay_plugin::abi::abi_stable::{
    abi_stability::abi_checking::{CheckingGlobals, check_layout_compatibility_with_globals},
    type_layout::TypeLayout,
};

use super::error::{LoadCode, LoadError};

/// Compares both ways: the check by itself lets only the implementation have more than the
/// interface, so each direction accepts one kind of age difference. A plugin newer in one type
/// and older in another is refused by both, as it should be: no release looks like that.
///
/// The globals are fresh each time because they cache addresses of layouts.
///
/// # Errors
///
/// [`LoadCode::Layout`], with the first differences.
pub fn agree(ours: &'static TypeLayout, theirs: &'static TypeLayout) -> Result<(), LoadError> {
    let Err(newer) = check_layout_compatibility_with_globals(ours, theirs, &CheckingGlobals::new()) else {
        return Ok(());
    };
    if check_layout_compatibility_with_globals(theirs, ours, &CheckingGlobals::new()).is_ok() {
        return Ok(());
    }
    Err(LoadError::new(
        LoadCode::Layout,
        format!(
            "its types are laid out differently, rebuild it with the current hotbay-plugin ({})",
            first_errors(&newer.to_string())
        ),
    ))
}

/// Keeps the first four `Error:` lines of a report that may be a thousand lines long.
fn first_errors(report: &str) -> String {
    let lines: Vec<&str> = report.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let mut kept = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        if let Some(error) = line.strip_prefix("Error:") {
            // The line itself may only be a heading; expected and found stand below it.
            let below = lines.iter().skip(index + 1).take(4).filter(|line| line.len() < 80);
            let text: Vec<&str> = std::iter::once(error.trim()).chain(below.copied()).collect();
            kept.push(text.join(" "));
        }
    }
    kept.truncate(4);
    kept.join("; ")
}

#[cfg(test)]
mod tests {
    use hotbay_plugin::abi::{RootRef, abi_stable::StableAbi};

    use super::*;

    #[test]
    fn a_long_layout_report_is_cut_to_its_errors() {
        let mut report = String::from("Compared <this>:\n");
        for index in 0..9 {
            report.push_str(&format!("\nError:too many fields {index}\nExpected:\n 4\nFound:\n 3\n"));
            report.push_str(&"noise that is far too long to be of any use to anybody ".repeat(30));
        }
        let text = first_errors(&report);
        assert!(text.starts_with("too many fields 0 Expected: 4 Found: 3; too many fields 1"), "{text}");
        assert!(!text.contains("fields 4"), "{text}");
    }

    #[test]
    fn the_host_agrees_with_itself() {
        let ours = <RootRef as StableAbi>::LAYOUT;
        agree(ours, ours).expect("the same layout");
    }
}
