//! Checks on a plugin file's bytes, before anything of it is executed or mapped.
//!
//! They catch what a copy cut short or a wrong file looks like and name it; what
//! they cannot see (a section of zeros, a bad constructor) the probe child finds.

use object::{
    elf::{self, FileHeader64},
    endian::NativeEndian,
    read::elf::{FileHeader, ProgramHeader, SectionHeader},
};

use super::error::{LoadCode, LoadError};

/// The machine this host runs on, as ELF numbers it.
const HOST_MACHINE: u16 = if cfg!(target_arch = "x86_64") {
    62
} else if cfg!(target_arch = "aarch64") {
    183
} else if cfg!(target_arch = "riscv64") {
    243
} else {
    0
};

/// Refuses bytes that are not a complete shared library for this machine.
pub(crate) fn check(bytes: &[u8]) -> Result<(), LoadError> {
    if bytes.is_empty() {
        return Err(LoadError::new(LoadCode::NotElf, "the file is empty; build the plugin again"));
    }
    if !bytes.starts_with(b"\x7fELF") {
        return Err(LoadError::new(
            LoadCode::NotElf,
            "the file is not a shared library; build the plugin with crate-type = [\"cdylib\"]",
        ));
    }
    // e_ident: class at 4, byte order at 5. Both must be read before the header can be.
    let native = if cfg!(target_endian = "little") { 1 } else { 2 };
    if let (Some(&class), Some(&order)) = (bytes.get(4), bytes.get(5))
        && (class != 2 || order != native)
    {
        return Err(wrong_arch("another word size or byte order"));
    }
    let header = FileHeader64::<NativeEndian>::parse(bytes).map_err(|_| truncated("its header is incomplete"))?;
    let endian = NativeEndian;
    let machine = header.e_machine(endian).0;
    if HOST_MACHINE != 0 && machine != HOST_MACHINE {
        return Err(wrong_arch(&format!("machine type {machine}")));
    }
    if header.e_type(endian) != elf::ET_DYN {
        return Err(LoadError::new(
            LoadCode::NotElf,
            "the file is an executable or an object file, not a shared library; build the plugin with \
             crate-type = [\"cdylib\"]",
        ));
    }
    check_extents(header, bytes)
}

/// Refuses a file that ends before what its headers announce.
fn check_extents(header: &FileHeader64<NativeEndian>, bytes: &[u8]) -> Result<(), LoadError> {
    let endian = NativeEndian;
    let size = bytes.len() as u64;
    let segments =
        header.program_headers(endian, bytes).map_err(|_| truncated("its program headers are incomplete"))?;
    for segment in segments {
        let end = segment.p_offset(endian).checked_add(segment.p_filesz(endian));
        if end.is_none_or(|end| end > size) {
            return Err(truncated("a segment ends beyond the end of the file"));
        }
    }
    let sections = header.section_headers(endian, bytes).map_err(|_| truncated("its section table is incomplete"))?;
    for section in sections {
        if let Some((offset, length)) = section.file_range(endian)
            && offset.checked_add(length).is_none_or(|end| end > size)
        {
            return Err(truncated("a section ends beyond the end of the file"));
        }
    }
    Ok(())
}

fn truncated(what: &str) -> LoadError {
    LoadError::new(
        LoadCode::Truncated,
        format!("the file is incomplete: {what}; copy it again, then rename it in place"),
    )
}

fn wrong_arch(what: &str) -> LoadError {
    LoadError::new(
        LoadCode::WrongArch,
        format!("the file was built for {what}, this host runs on {}; build the plugin for it", std::env::consts::ARCH),
    )
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;

    /// This test's own executable: a complete ELF file that is position independent, hence `ET_DYN`.
    fn own_bytes() -> Vec<u8> {
        std::fs::read(std::env::current_exe().expect("a running test has a path")).expect("and is readable")
    }

    #[track_caller]
    fn refuses(bytes: &[u8], code: LoadCode) {
        assert_eq!(check(bytes).expect_err("must be refused").code, code);
    }

    #[test]
    fn what_is_not_elf_is_named() {
        refuses(b"", LoadCode::NotElf);
        refuses(b"hello", LoadCode::NotElf);
        refuses(&[0; 4096], LoadCode::NotElf);
        refuses(b"\x7fELF", LoadCode::Truncated);
    }

    #[test]
    fn every_shorter_file_is_truncated() {
        let bytes = own_bytes();
        check(&bytes).expect("the whole file is fine");
        for length in [20, 64, 1024, bytes.len() / 2, bytes.len() - 1] {
            refuses(&bytes[..length], LoadCode::Truncated);
        }
    }

    #[test]
    fn another_machine_is_named() {
        let mut bytes = own_bytes();
        bytes[18] = 0x28;
        bytes[19] = 0;
        refuses(&bytes, LoadCode::WrongArch);
        bytes[4] = 1;
        refuses(&bytes, LoadCode::WrongArch);
    }

    #[test]
    fn an_object_file_is_not_a_library() {
        let mut bytes = own_bytes();
        bytes[16] = 1;
        refuses(&bytes, LoadCode::NotElf);
    }

    proptest! {
        /// Whatever the bytes are, they are looked at within the file.
        #[test]
        fn damaged_files_are_judged(
            damage in prop::collection::vec((0..200_usize, any::<u8>()), 0..12),
            length in 0..8192_usize,
        ) {
            // The whole file is large, and the beginning has all that is believed.
            let mut bytes = BEGINNING.clone();
            bytes.truncate(length);
            for (at, value) in damage {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = value;
                }
            }
            drop(check(&bytes));
        }
    }

    static BEGINNING: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let mut bytes = own_bytes();
        bytes.truncate(8192);
        bytes
    });
}
