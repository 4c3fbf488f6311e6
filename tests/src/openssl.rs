//! Certificates as a user makes and reads them: with the `openssl` program of this host, which shares no code with the
//! programs that make the cluster's.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::lab;
use crate::process::{self, Output};

/// Reading a certificate takes no time, making an RSA key some.
const PATIENCE: Duration = Duration::from_secs(60);

fn output(arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new("openssl");
    command.args(arguments);
    process::run(&mut command, PATIENCE)
        .context("these cases need the `openssl` program; on Debian and Ubuntu `apt-get install openssl` installs it")
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("`{}` is no text", path.display()))
}

fn with_file<T>(content: &str, ask: impl FnOnce(&str) -> Result<T>) -> Result<T> {
    let directory = tempfile::Builder::new().prefix("kubake-e2e-").tempdir().context("cannot make a directory")?;
    let file = directory.path().join("certificate.pem");
    lab::write(&file, content)?;
    ask(text(&file)?)
}

/// The public key in a certificate, as PEM. Two certificates may differ and still be of one key.
///
/// # Errors
/// When this is no certificate.
pub fn public_key(certificate: &str) -> Result<String> {
    with_file(certificate, |file| output(&["x509", "-in", file, "-noout", "-pubkey"])?.success())
}

/// Whether a certificate is still valid after this time.
///
/// # Errors
/// When this is no certificate.
pub fn is_valid_after(certificate: &str, time: Duration) -> Result<bool> {
    with_file(certificate, |file| {
        let seconds = time.as_secs().to_string();
        let output = output(&["x509", "-in", file, "-noout", "-checkend", &seconds])?;
        match output.status.code() {
            // The code alone does not tell an expired certificate from a file that is none.
            Some(0) if output.stdout.contains("will not expire") => Ok(true),
            Some(1) if output.stdout.contains("will expire") => Ok(false),
            _ => bail!("{output}"),
        }
    })
}

/// The certificate with which a server on this host presents itself, as PEM.
///
/// # Errors
/// When no server answers with TLS there.
pub fn served(port: u16) -> Result<String> {
    let answer = output(&["s_client", "-connect", &format!("127.0.0.1:{port}"), "-servername", "kubernetes"])?;
    let all = &answer.stdout;
    const END: &str = "-----END CERTIFICATE-----\n";
    let block = all.find("-----BEGIN CERTIFICATE-----").and_then(|start| {
        let end = all.get(start..)?.find(END)? + END.len();
        all.get(start..start + end)
    });
    block.map(str::to_owned).with_context(|| format!("no certificate on port {port}: {answer}"))
}

/// Checks that an authority signed a certificate.
///
/// # Errors
/// When it did not.
pub fn verify(authority: &str, certificate: &str) -> Result<()> {
    with_file(authority, |authority| {
        with_file(certificate, |certificate| {
            output(&["verify", "-CAfile", authority, certificate])?.success().map(drop)
        })
    })
}

/// The forms in which people have private keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyForm {
    /// P-256, `EC PRIVATE KEY`.
    Sec1,
    /// P-256, `PRIVATE KEY`.
    Pkcs8,
    /// RSA with 2048 bits, `RSA PRIVATE KEY`, as kubeadm writes it.
    Rsa,
}

/// A certificate authority that a user already has.
#[derive(Debug)]
pub struct Authority {
    directory: TempDir,
    /// Its certificate, as PEM.
    pub certificate: String,
    /// Its private key, as PEM.
    pub key: String,
}

impl Authority {
    /// Name of the certificate's file in [`Self::directory`].
    pub const CERTIFICATE_FILE: &'static str = "ca.crt";
    /// Name of the key's file in [`Self::directory`].
    pub const KEY_FILE: &'static str = "ca.key";

    /// Makes one.
    ///
    /// # Errors
    /// When there is no `openssl`.
    pub fn make(form: KeyForm) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("kubake-e2e-").tempdir().context("cannot make a directory")?;
        let file = |name| directory.path().join(name);
        let (certificate, key) = (file(Self::CERTIFICATE_FILE), file(Self::KEY_FILE));
        let make: &[&str] = match form {
            KeyForm::Sec1 => &["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", text(&key)?],
            KeyForm::Pkcs8 => {
                &["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", text(&key)?]
            }
            KeyForm::Rsa => &["genrsa", "-traditional", "-out", text(&key)?, "2048"],
        };
        output(make)?.success()?;
        let subject = ["req", "-x509", "-new", "-days", "30", "-subj", "/O=Example/CN=kubake-e2e authority"];
        let usage = ["-addext", "keyUsage=critical,keyCertSign,cRLSign", "-key", text(&key)?];
        output(&[&subject[..], &usage, &["-out", text(&certificate)?]].concat())?.success()?;
        let read = |path: &PathBuf| std::fs::read_to_string(path).context("openssl wrote no file");
        let (certificate, key) = (read(&certificate)?, read(&key)?);
        Ok(Self { directory, certificate, key })
    }

    /// Makes a certificate for a server of this name, and its key; both as PEM.
    ///
    /// # Errors
    /// When there is no `openssl`.
    pub fn issue(&self, name: &str) -> Result<(String, String)> {
        let file = |name: &str| self.directory.path().join(name);
        let (request, key, extensions) = (file("server.csr"), file("server.key"), file("server.ext"));
        let make = ["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
        let subject = format!("/CN={name}");
        output(&[&make[..], &["-subj", &subject, "-keyout", text(&key)?, "-out", text(&request)?]].concat())?
            .success()?;
        lab::write(
            &extensions,
            format!("subjectAltName=DNS:{name}\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n"),
        )?;
        let (authority, signer) = (file(Self::CERTIFICATE_FILE), file(Self::KEY_FILE));
        let sign = ["x509", "-req", "-days", "30", "-CAcreateserial", "-extfile", text(&extensions)?];
        let by = ["-in", text(&request)?, "-CA", text(&authority)?, "-CAkey", text(&signer)?];
        let certificate = output(&[&sign[..], &by].concat())?.success()?;
        let key = std::fs::read_to_string(&key).context("openssl wrote no key")?;
        Ok((certificate, key))
    }

    /// Where its two files lie.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_are_made_in_all_forms() {
        let forms = [
            (KeyForm::Sec1, "-----BEGIN EC PRIVATE KEY-----"),
            (KeyForm::Pkcs8, "-----BEGIN PRIVATE KEY-----"),
            (KeyForm::Rsa, "-----BEGIN RSA PRIVATE KEY-----"),
        ];
        let made: Vec<Authority> = forms
            .iter()
            .map(|(form, begin)| {
                let authority = Authority::make(*form).unwrap();
                assert!(authority.key.starts_with(begin), "{form:?}");
                authority
            })
            .collect();
        let [first, second, ..] = &made[..] else { panic!("there are three") };
        verify(&first.certificate, &first.certificate).unwrap();
        verify(&first.certificate, &second.certificate).unwrap_err();
        assert_ne!(public_key(&first.certificate).unwrap(), public_key(&second.certificate).unwrap());
        let day = Duration::from_secs(24 * 3600);
        assert!(is_valid_after(&first.certificate, 29 * day).unwrap());
        assert!(!is_valid_after(&first.certificate, 31 * day).unwrap());
        is_valid_after("no certificate", day).unwrap_err();
    }

    #[test]
    fn an_authority_vouches_for_a_server_and_for_no_other() {
        let (mine, other) = (Authority::make(KeyForm::Pkcs8).unwrap(), Authority::make(KeyForm::Rsa).unwrap());
        let (certificate, key) = mine.issue("registry.example").unwrap();
        assert!(key.contains("PRIVATE KEY-----"), "{key}");
        verify(&mine.certificate, &certificate).unwrap();
        verify(&other.certificate, &certificate).unwrap_err();
    }
}
