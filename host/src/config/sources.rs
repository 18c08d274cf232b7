//! Which of its sources a setting is taken from: its flag, its variable, the file, its default.

use std::path::{Path, PathBuf};

use super::{
    DEFAULT_FILE,
    error::ConfigError,
    file::{File, Scalar},
    flags::Flags,
    parse,
};

/// Where settings come from, apart from flags.
pub(super) struct Sources<'a> {
    pub(super) environment: &'a dyn Fn(&str) -> Option<String>,
    pub(super) file: Option<&'a Path>,
}

impl Sources<'_> {
    fn variable(&self, name: &str) -> Option<(String, String)> {
        let variable = format!("HOTBAY_{}", name.to_ascii_uppercase());
        // An empty variable is how shells and container files say "not set".
        let value = (self.environment)(&variable).filter(|value| !value.is_empty())?;
        Some((value, format!("the variable {variable}")))
    }

    pub(super) fn in_file(&self, name: &str) -> String {
        let file = self.file.unwrap_or(Path::new(DEFAULT_FILE));
        // Limits are a section of the file.
        let (section, name) = name.strip_prefix("limit_").map_or(("", name), |name| ("limits.", name));
        format!("`{section}{name}` in {}", file.display())
    }

    /// Returns the first value that is set, and where.
    fn first(&self, name: &str, flag: Option<&String>, file: Option<String>) -> Option<(String, String)> {
        if let Some(value) = flag {
            return Some((value.clone(), format!("the flag --{}", name.replace('_', "-"))));
        }
        self.variable(name).or_else(|| Some((file?, self.in_file(name))))
    }

    pub(super) fn pick<T>(
        &self,
        name: &str,
        flag: Option<&String>,
        file: Option<&Scalar>,
        default: T,
        parse: fn(&str) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        let Some((value, place)) = self.first(name, flag, file.map(Scalar::to_string)) else { return Ok(default) };
        parse(value.trim()).map_err(|expected| ConfigError::Setting { place, value, expected })
    }

    /// Picks a path; one from the file is relative to `base`.
    pub(super) fn path(
        &self,
        name: &str,
        flag: Option<&PathBuf>,
        file: Option<&Path>,
        base: &Path,
        default: &str,
    ) -> Result<PathBuf, ConfigError> {
        let path = self.given_path(name, flag, file, base).unwrap_or_else(|| PathBuf::from(default));
        if path.as_os_str().is_empty() {
            let place = format!("the setting `{name}`");
            return Err(ConfigError::Setting { place, value: String::new(), expected: "a path".into() });
        }
        Ok(path)
    }

    /// Picks a path there need not be, and is not if it is empty; one from the file is relative to `base`.
    pub(super) fn optional_path(
        &self,
        name: &str,
        flag: Option<&PathBuf>,
        file: Option<&Path>,
        base: &Path,
    ) -> Option<PathBuf> {
        let file = file.filter(|path| !path.as_os_str().is_empty());
        self.given_path(name, flag, file, base).filter(|path| !path.as_os_str().is_empty())
    }

    fn given_path(&self, name: &str, flag: Option<&PathBuf>, file: Option<&Path>, base: &Path) -> Option<PathBuf> {
        match (flag, self.variable(name), file) {
            (Some(path), ..) => Some(path.clone()),
            (None, Some((path, _)), _) => Some(PathBuf::from(path)),
            (None, None, file) => file.map(|path| base.join(path)),
        }
    }

    pub(super) fn plugin_dirs(&self, flags: &Flags, file: &File, base: &Path) -> Vec<PathBuf> {
        let is_set = !flags.plugins.is_empty() || self.variable("plugins").is_some() || file.plugin_dirs.is_some();
        if is_set {
            self.directories("plugins", &flags.plugins, file.plugin_dirs.as_deref(), base)
        } else {
            vec![PathBuf::from("plugins.d")]
        }
    }

    /// Picks a list of directories, empty if there is none; those from the file are relative to `base`.
    pub(super) fn directories(
        &self,
        name: &str,
        flags: &[PathBuf],
        file: Option<&[PathBuf]>,
        base: &Path,
    ) -> Vec<PathBuf> {
        if !flags.is_empty() {
            return flags.to_vec();
        }
        if let Some((value, _)) = self.variable(name) {
            return std::env::split_paths(&value).filter(|path| !path.as_os_str().is_empty()).collect();
        }
        file.into_iter().flatten().map(|path| base.join(path)).collect()
    }

    /// Picks a list, and where it was set: a flag that is repeated, a variable with commas, a list of the file.
    pub(super) fn list(
        &self,
        variable: &str,
        flag: (&str, &[String]),
        file: (&str, Option<Vec<String>>),
    ) -> Option<(Vec<String>, String)> {
        if !flag.1.is_empty() {
            return Some((flag.1.to_vec(), format!("the flag {}", flag.0)));
        }
        if let Some((value, place)) = self.variable(variable) {
            return Some((value.split(',').map(|item| item.trim().to_owned()).collect(), place));
        }
        Some((file.1?, self.in_file(file.0)))
    }

    pub(super) fn cors_origins(&self, flags: &Flags, file: &File) -> Result<Vec<String>, ConfigError> {
        let (origins, place) = if !flags.cors_origin.is_empty() {
            (flags.cors_origin.clone(), "the flag --cors-origin".to_owned())
        } else if let Some((value, place)) = self.variable("cors_origins") {
            (value.split(',').map(|origin| origin.trim().to_owned()).collect(), place)
        } else if let Some(origins) = &file.cors_origins {
            (origins.clone(), self.in_file("cors_origins"))
        } else {
            return Ok(vec!["*".into()]);
        };
        for origin in &origins {
            parse::origin(origin).map_err(|expected| ConfigError::Setting {
                place: place.clone(),
                value: origin.clone(),
                expected,
            })?;
        }
        Ok(origins)
    }
}
