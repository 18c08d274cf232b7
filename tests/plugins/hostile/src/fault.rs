//! Faults that end the process they happen in, or try to: for plugins that have one of their own.

use std::{
    fs::File,
    hint::black_box,
    io::{Read, Write},
    mem::ManuallyDrop,
    os::fd::{AsRawFd, FromRawFd, RawFd},
};

use hotbay_plugin::Error;
use serde_json::{Value, json};

/// Does what the name says; `None` if it is the name of no fault.
pub(crate) fn commit(name: &str, call: u64, input: &Value) -> Option<Result<Value, Error>> {
    let number = |key: &str, default| input.get(key).and_then(Value::as_u64).unwrap_or(default);
    Some(match name {
        "segv" => segv(),
        "bus" => bus(),
        "abort" => std::process::abort(),
        #[expect(clippy::exit, reason = "this is the fault")]
        "exit" => std::process::exit(number("code", 0) as i32),
        "overflow" => Ok(json!(overflow(number("depth", u64::MAX)))),
        "oom" => oom(number("bytes", 1 << 40)),
        "fork_bomb" => fork_bomb(number("count", 200)),
        "leave_child" => leave_child(input.get("apart").is_some(), number("bytes", 0)),
        "spawn" => spawn(),
        "leak_files" => leak_files(),
        "spin" => spin(),
        "huge" => Ok(json!("x".repeat(number("bytes", 1 << 30) as usize))),
        "garbage" => to_host(&[0xff; 64]),
        "oversize" => to_host(&[0xff, 0xff, 0xff, 0x7f, 18, 1, 0, 0, 0, 0, 0, 0, 0]),
        "forge" => to_host(&frame(18, call + 1_000_000, &[0; 13])),
        "flood" => (0..100).try_fold(Value::Null, |_, _| to_host(&frame(19, call, b"1"))),
        "hang_up" => hang_up(),
        "print" => print(number("lines", 1)),
        "surroundings" => surroundings(),
        "who" => who(input),
        _ => return None,
    })
}

fn segv() -> Result<Value, Error> {
    let nowhere = black_box(8_usize) as *mut u8;
    // SAFETY: there is nothing: this is the fault.
    unsafe { nowhere.write_volatile(1) };
    Ok(Value::Null)
}

/// Reads a page of a mapped file that is not there any more.
fn bus() -> Result<Value, Error> {
    let file = File::options().read(true).write(true).create(true).truncate(true).open("short")?;
    file.set_len(4096)?;
    let (flags, descriptor) = (libc::MAP_SHARED, file.as_raw_fd());
    // SAFETY: a fresh mapping at a place of the kernel's choice, of an open file.
    let page = unsafe { libc::mmap(std::ptr::null_mut(), 4096, libc::PROT_READ, flags, descriptor, 0) };
    file.set_len(0)?;
    // SAFETY: it is mapped, and yet there is nothing: this is the fault.
    Ok(json!(unsafe { page.cast::<u8>().read_volatile() }))
}

#[expect(unconditional_recursion, reason = "this is the fault")]
fn overflow(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    overflow(frame[0].wrapping_sub(1)).wrapping_add(frame[1])
}

fn oom(bytes: u64) -> Result<Value, Error> {
    let mut kept: Vec<Vec<u8>> = Vec::new();
    for _ in 0..bytes >> 20 {
        kept.push(vec![1; 1 << 20]);
    }
    Ok(json!(black_box(kept).len()))
}

fn fork_bomb(count: u64) -> Result<Value, Error> {
    let mut made = 0;
    for _ in 0..count {
        // SAFETY: what is forked does nothing but fork.
        match unsafe { libc::fork() } {
            0 => forever(),
            -1 => break,
            _ => made += 1,
        }
    }
    Ok(json!({"made": made, "error": std::io::Error::last_os_error().to_string()}))
}

/// Leaves a process that outlives this one, if nobody sees to it; `apart` from the group of this one, and
/// with so much memory of its own.
fn leave_child(apart: bool, bytes: u64) -> Result<Value, Error> {
    let (mut said, mut says) = std::io::pipe()?;
    // SAFETY: what is forked does no more than a few system calls, and waits for a signal.
    match unsafe { libc::fork() } {
        0 => {
            // SAFETY: takes nothing.
            if apart && unsafe { libc::setsid() } == -1 {
                std::process::abort();
            }
            hold(bytes as usize);
            if says.write_all(b"!").is_err() {
                std::process::abort();
            }
            forever()
        }
        -1 => Err(std::io::Error::last_os_error().into()),
        child => {
            said.read_exact(&mut [0])?;
            Ok(json!(child))
        }
    }
}

/// Takes memory and writes to all of it.
fn hold(bytes: usize) {
    let (all, private) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    for _ in 0..bytes >> 20 {
        // SAFETY: asks for a new mapping anywhere, which nobody else knows.
        let mapped = unsafe { libc::mmap(std::ptr::null_mut(), 1 << 20, all, private, -1, 0) };
        if mapped == libc::MAP_FAILED {
            std::process::abort();
        }
        // SAFETY: the mapping above is this long and may be written.
        unsafe { mapped.cast::<u8>().write_bytes(1, 1 << 20) };
    }
}

fn forever() -> ! {
    loop {
        // SAFETY: takes nothing and waits.
        unsafe { libc::pause() };
    }
}

fn spawn() -> Result<Value, Error> {
    let output = std::process::Command::new("/bin/echo").arg("hello").output()?;
    Ok(json!(String::from_utf8_lossy(&output.stdout)))
}

fn leak_files() -> Result<Value, Error> {
    let mut leaked = 0;
    loop {
        match File::open("/dev/null") {
            Ok(file) => std::mem::forget(file),
            Err(error) => return Ok(json!({"leaked": leaked, "error": error.to_string()})),
        }
        leaked += 1;
    }
}

fn spin() -> ! {
    loop {
        std::hint::spin_loop();
    }
}

/// Finds the connection to the host.
fn connection() -> Result<RawFd, Error> {
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_socket = std::fs::read_link(entry.path()).is_ok_and(|to| to.to_string_lossy().starts_with("socket:"));
        if let (true, Ok(number)) = (is_socket, name.parse()) {
            return Ok(number);
        }
    }
    Err(Error::new("there is no connection"))
}

fn to_host(bytes: &[u8]) -> Result<Value, Error> {
    // SAFETY: it is open, and the handle does not close it.
    let mut connection = ManuallyDrop::new(unsafe { File::from_raw_fd(connection()?) });
    connection.write_all(bytes)?;
    Ok(Value::Null)
}

fn frame(kind: u8, call: u64, body: &[u8]) -> Vec<u8> {
    let mut frame = (body.len() as u32).to_le_bytes().to_vec();
    frame.push(kind);
    frame.extend_from_slice(&call.to_le_bytes());
    frame.extend_from_slice(body);
    frame
}

fn hang_up() -> Result<Value, Error> {
    // SAFETY: it is open; that others think so as well is the fault.
    unsafe { libc::shutdown(connection()?, libc::SHUT_RDWR) };
    Ok(Value::Null)
}

fn print(lines: u64) -> Result<Value, Error> {
    for line in 0..lines {
        writeln!(std::io::stdout(), "printed line {line}")?;
    }
    std::io::stderr().write_all(b"and an error without an end of line")?;
    Ok(Value::Null)
}

fn surroundings() -> Result<Value, Error> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let no_new_privileges = status.lines().any(|line| line == "NoNewPrivs:\t1");
    let mut open: Vec<String> = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        open.push(std::fs::read_link(entry?.path()).unwrap_or_default().to_string_lossy().into_owned());
    }
    Ok(json!({
        "pid": std::process::id(),
        "directory": std::env::current_dir()?,
        "environment": std::env::vars().collect::<std::collections::BTreeMap<_, _>>(),
        "noNewPrivileges": no_new_privileges,
        "limits": std::fs::read_to_string("/proc/self/limits")?,
        "open": open,
    }))
}

/// Tells whom it runs as, and what it may read after it has written a file.
fn who(input: &Value) -> Result<Value, Error> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let numbers = |name: &str| -> Vec<u32> {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.split_whitespace().filter_map(|number| number.parse().ok()).collect()
    };
    if let Some(path) = input.get("write").and_then(Value::as_str) {
        std::fs::write(path, "written")?;
    }
    let paths = input.get("read").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let read = paths.map(|path| match File::open(path) {
        Ok(_) => "ok".to_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => "denied".to_owned(),
        Err(error) => error.to_string(),
    });
    let read: Vec<String> = read.collect();
    Ok(json!({"users": numbers("Uid:"), "groups": numbers("Gid:"), "others": numbers("Groups:"), "read": read}))
}
