//! Tests with whole and damaged archives of all kinds.

use std::io::{self, Read, Write};

use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::super::fixtures::tar_of;
use super::super::monitor::Monitor;
use super::inspect::{Fault, inspect};
use super::packing::{Packing, open};
use super::tape::Unpacked;
use super::walk::checksum;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    compress_to_vec(bytes, CompressionLevel::Fastest)
}

/// A header of this kind and size, without the content that should follow.
fn header(kind: tar::EntryType, size: u64) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_cksum();
    header.as_bytes().to_vec()
}

fn inspected(bytes: &[u8]) -> Result<(Packing, u64), String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.tar");
    std::fs::write(&path, bytes).unwrap();
    inspect(&path, &Monitor::idle()).map_err(|fault| match fault {
        Fault::Broken(what) => what,
        Fault::Nameless => "nameless".to_owned(),
        Fault::Read(error) => panic!("{error}"),
    })
}

#[test]
fn archives_are_known_by_what_they_hold() {
    let docker = tar_of(&["x/layer.tar", "manifest.json"]);
    let oci = tar_of(&["./blobs/x", "./index.json"]);
    let size = docker.len() as u64;
    assert_eq!(inspected(&docker), Ok((Packing::Plain, size)));
    assert_eq!(inspected(&gzip(&docker)), Ok((Packing::Gzip, size)));
    assert_eq!(inspected(&zstd(&docker)), Ok((Packing::Zstd, size)));
    assert_eq!(inspected(&oci), Ok((Packing::Plain, oci.len() as u64)));
    assert!(inspected(&tar_of(&["etc/passwd"])).unwrap_err().contains("neither"));
    assert!(inspected(&[b'x'; 2048]).unwrap_err().contains("not a tar file"));
    assert!(inspected(&zstd(&[b'x'; 2048])).unwrap_err().contains("not a tar file"));
    assert!(inspected(&[]).unwrap_err().contains("empty"));
}

#[test]
fn entries_without_content_and_sparse_files_are_walked_as_tar_writes_them() {
    let docker = tar_of(&["x/layer.tar", "manifest.json"]);
    for kind in [tar::EntryType::Link, tar::EntryType::Symlink, tar::EntryType::Directory] {
        let archive = [header(kind, 600), docker.clone()].concat();
        assert_eq!(inspected(&archive), Ok((Packing::Plain, archive.len() as u64)), "{kind:?}");
    }
    let mut sparse = tar::Header::new_gnu();
    sparse.set_entry_type(tar::EntryType::GNUSparse);
    sparse.set_size(512);
    sparse.as_mut_bytes()[482] = 1;
    sparse.set_cksum();
    let (mut more, last) = ([0; 512], [0; 512]);
    more[504] = 1;
    // The header, two blocks about holes, one block of content.
    let archive = [sparse.as_bytes().to_vec(), more.to_vec(), last.to_vec(), vec![b'x'; 512], docker].concat();
    assert_eq!(inspected(&archive), Ok((Packing::Plain, archive.len() as u64)));
}

#[test]
fn an_archive_without_a_name_is_refused() {
    let tar_with = |files: &[(&str, &str)]| {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, text) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, name, text.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap()
    };
    let nameless = ("manifest.json", r#"[{"Config":"a","RepoTags":null,"Layers":[]}]"#);
    let named = ("manifest.json", r#"[{"Config":"a","RepoTags":["a:1"],"Layers":[]}]"#);
    let index = ("index.json", r#"{"manifests":[{"digest":"sha256:00","size":1}]}"#);
    let named_index =
        ("index.json", r#"{"manifests":[{"digest":"sha256:00","annotations":{"io.containerd.image.name":"a:1"}}]}"#);
    for bytes in [tar_with(&[nameless]), tar_with(&[index, nameless]), gzip(&tar_with(&[index]))] {
        assert_eq!(inspected(&bytes).unwrap_err(), "nameless");
    }
    for bytes in [tar_with(&[named]), tar_with(&[index, named]), tar_with(&[named_index, nameless])] {
        inspected(&bytes).unwrap();
    }
}

#[test]
fn long_names_and_sizes_beyond_the_header_are_understood() {
    let long = format!("blobs/{}", "x".repeat(200));
    let mut pax = tar::Builder::new(Vec::new());
    // A file of three bytes whose header says none, as writers do beyond 8 GiB.
    pax.append_pax_extensions([("size", &b"3"[..])]).unwrap();
    let mut bytes = pax.get_ref().clone();
    bytes.extend(header(tar::EntryType::Regular, 0));
    bytes.extend([&b"abc"[..], &[0; 509]].concat());
    bytes.extend(tar_of(&[&long, "manifest.json"]));
    assert_eq!(inspected(&bytes), Ok((Packing::Plain, bytes.len() as u64)));
}

#[test]
fn all_parts_of_a_compressed_archive_count() {
    let whole = tar_of(&["x", "manifest.json"]);
    let (one, two) = whole.split_at(700);
    let skippable = [0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
    for parts in [[gzip(one), Vec::new(), gzip(two)].concat(), [zstd(one), skippable.to_vec(), zstd(two)].concat()] {
        let (packing, size) = inspected(&parts).unwrap();
        assert_eq!(size, whole.len() as u64);
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("x"), parts).unwrap();
        let mut read = Vec::new();
        open(&directory.path().join("x"), packing).unwrap().read_to_end(&mut read).unwrap();
        assert!(read == whole, "{packing:?}");
    }
}

#[test]
fn truncated_and_damaged_archives_are_refused() {
    let whole = tar_of(&["x", "manifest.json"]);
    for bytes in [whole[..600].to_vec(), whole[..900].to_vec()] {
        assert!(inspected(&bytes).unwrap_err().contains("is truncated"));
    }
    let mut damaged = whole.clone();
    damaged[1024 + 3] ^= 1;
    assert!(inspected(&damaged).unwrap_err().contains("a header in it is damaged"));
    for compress in [gzip, zstd] {
        let packed = compress(&whole);
        assert!(inspected(&packed[..packed.len() - 3]).is_err(), "it is cut off");
        let mut damaged = packed.clone();
        let at = damaged.len() - 2;
        damaged[at] ^= 1;
        assert!(inspected(&damaged).is_err(), "a bit of it is wrong");
    }
}

#[test]
fn a_name_that_leads_out_and_a_header_that_wants_memory_are_refused() {
    let mut bytes = header(tar::EntryType::Regular, 0);
    bytes[..11].copy_from_slice(b"../../etc/x");
    let sum = format!("{:06o}\0 ", checksum(&bytes));
    bytes[148..156].copy_from_slice(sum.as_bytes());
    bytes.extend(tar_of(&["manifest.json"]));
    assert!(inspected(&bytes).unwrap_err().contains("`../../etc/x`, which leads out of the archive"));
    let huge = header(tar::EntryType::GNULongName, 1 << 40);
    assert!(inspected(&huge).unwrap_err().contains("extended header of 1099511627776 bytes"));
    let huge = header(tar::EntryType::Regular, u64::MAX >> 1);
    assert!(inspected(&huge).unwrap_err().contains("is truncated"));
}

#[test]
fn a_bomb_is_given_up() {
    let inner = Box::new(io::repeat(0));
    let mut bomb = Unpacked { inner, count: 0, most: 5 << 20, monitor: &Monitor::idle() };
    let error = io::copy(&mut bomb, &mut io::sink()).unwrap_err();
    assert!(error.to_string().contains("unpacks to more than 5 MiB"), "{error}");
}

#[test]
fn an_interrupt_ends_the_check() {
    let monitor = Monitor { report: &|_| (), is_cancelled: &|| true };
    let mut endless = Unpacked { inner: Box::new(io::repeat(0)), count: 0, most: u64::MAX, monitor: &monitor };
    assert!(io::copy(&mut endless, &mut io::sink()).is_err());
}

proptest::proptest! {
    #[test]
    fn every_input_has_a_result(bytes: Vec<u8>, flips in proptest::collection::vec((0_usize..3000, 0_u8..=255), 0..8)) {
        drop(inspected(&bytes));
        for mut damaged in [tar_of(&["x", "manifest.json"]), gzip(&tar_of(&["index.json"])), zstd(&tar_of(&["index.json"]))] {
            for (at, value) in &flips {
                let at = at % damaged.len();
                damaged[at] = *value;
            }
            drop(inspected(&damaged));
        }
    }
}
