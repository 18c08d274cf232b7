//! `hotbay plugin keygen|sign|verify`: signatures of plugin files, as minisign makes and reads them.

use std::{
    fs,
    io::{Cursor, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use minisign::{KeyPair, SecretKey, SecretKeyBox};

use super::{Failure, note, say};
use crate::{
    config::{Flags, TrustFlags},
    plugin::trust::{self, TrustSettings, TrustedKey},
};

#[derive(Args)]
pub(super) struct KeygenArguments {
    /// File for the secret key, which only its owner may read
    #[arg(long, value_name = "FILE", default_value = "minisign.key")]
    secret: PathBuf,
    /// File for the public key
    #[arg(long, value_name = "FILE", default_value = "minisign.pub")]
    public: PathBuf,
    #[command(flatten)]
    password: PasswordArguments,
    /// Do not protect the secret key with a password
    #[arg(long, conflicts_with = "password_file")]
    no_password: bool,
}

#[derive(Args)]
pub(super) struct SignArguments {
    /// The plugin files; each signature is written beside its file, with `.minisig` appended
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// File with the secret key
    #[arg(long, value_name = "FILE", default_value = "minisign.key")]
    secret: PathBuf,
    /// What is said about the file and signed with it [default: the time and the file's name]
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    #[command(flatten)]
    password: PasswordArguments,
}

#[derive(Args)]
pub(super) struct VerifyArguments {
    /// The plugin file
    file: PathBuf,
    /// File with a public key, may be repeated [default: the keys of the configuration]
    #[arg(long, value_name = "FILE")]
    public: Vec<PathBuf>,
    /// Signature [default: FILE.minisig]
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,
    /// Configuration file [default: ./hotbay.toml if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    trust: TrustFlags,
}

#[derive(Args)]
struct PasswordArguments {
    /// File whose first line is the password [default: asked for]
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl PasswordArguments {
    /// Returns the password; `None` if somebody is to be asked.
    fn read(&self) -> Result<Option<String>, Failure> {
        let Some(file) = &self.password_file else { return Ok(None) };
        let text = fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
        Ok(Some(text.lines().next().unwrap_or_default().to_owned()))
    }
}

pub(super) fn keygen(arguments: &KeygenArguments) -> Result<ExitCode, Failure> {
    let KeygenArguments { secret, public, .. } = arguments;
    if let Some(there) = [secret, public].into_iter().find(|file| file.exists()) {
        return Err(format!("{} is there already; name other files with --secret and --public", there.display()).into());
    }
    let pair = match arguments.no_password {
        true => KeyPair::generate_unencrypted_keypair()?,
        false => KeyPair::generate_encrypted_keypair(arguments.password.read()?)?,
    };
    write_new(secret, &pair.sk.to_box(None)?.to_bytes(), 0o600)?;
    write_new(public, &pair.pk.to_box()?.to_bytes(), 0o644)?;
    note(format_args!("the secret key is in {}: keep it, and keep it to yourself", secret.display()));
    note(format_args!("the public key is in {}; hosts that are to trust it have in hotbay.toml:", public.display()));
    say(format_args!("[trust]\nkeys = [\"{}\"]", pair.pk.to_base64()));
    Ok(ExitCode::SUCCESS)
}

pub(super) fn sign(arguments: &SignArguments) -> Result<ExitCode, Failure> {
    let key = secret_key(&arguments.secret, &arguments.password)?;
    for file in &arguments.files {
        let bytes = read(file)?;
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let comment = arguments
            .comment
            .clone()
            .unwrap_or_else(|| format!("timestamp:{}\tfile:{name}\thashed", jiff::Timestamp::now().as_second()));
        // A line of its own in the signature.
        let comment = comment.replace(['\n', '\r'], " ");
        let signature = minisign::sign(None, &key, Cursor::new(bytes), Some(&comment), None)?;
        let to = trust::signature_file(file);
        fs::write(&to, signature.to_bytes()).map_err(|error| format!("cannot write {}: {error}", to.display()))?;
        say(to.display());
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn verify(arguments: VerifyArguments) -> Result<ExitCode, Failure> {
    let VerifyArguments { file, public, signature, config, trust } = arguments;
    let settings = if public.is_empty() {
        TrustSettings::of_configuration(&Flags { config, trust, ..Flags::default() })?
    } else {
        let keys = public.iter().map(|file| public_key(file)).collect::<Result<_, Failure>>()?;
        TrustSettings { keys, hashes: None }
    };
    if settings.keys.is_empty() {
        return Err("there is no key to verify with; name one with --public FILE or --trust-key KEY".into());
    }
    let bytes = read(&file)?;
    let beside = signature.unwrap_or_else(|| trust::signature_file(&file));
    let signature = trust::read_signature(&beside)?
        .ok_or_else(|| format!("{} is not signed: there is no {}", file.display(), beside.display()))?;
    let trust = settings.verify(&bytes, &signature).map_err(|error| format!("{}: {error}", file.display()))?;
    say(format_args!("{} is {trust}", file.display()));
    Ok(ExitCode::SUCCESS)
}

/// Reads a secret key, with its password if it has one.
fn secret_key(file: &Path, password: &PasswordArguments) -> Result<SecretKey, Failure> {
    let text = fs::read_to_string(file)
        .map_err(|error| format!("cannot read the secret key {}: {error}; name it with --secret", file.display()))?;
    let open = SecretKeyBox::from_string(&text)?.into_unencrypted_secret_key();
    match open {
        Ok(key) => Ok(key),
        // Encrypted, or no key at all, which is said then.
        Err(_) => SecretKeyBox::from_string(&text)?
            .into_secret_key(password.read()?)
            .map_err(|error| format!("cannot use the secret key {}: {error}", file.display()).into()),
    }
}

fn public_key(file: &Path) -> Result<TrustedKey, Failure> {
    let text = fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    // The tool writes a comment first; the key alone will do.
    let line = text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
    TrustedKey::parse(None, line).map_err(|expected| format!("{} is not {expected}", file.display()).into())
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()).into())
}

fn write_new(file: &Path, bytes: &[u8], mode: u32) -> Result<(), Failure> {
    let written = fs::File::options().write(true).create_new(true).mode(mode).open(file);
    let written = written.and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    written.map_err(|error| format!("cannot write {}: {error}", file.display()).into())
}
