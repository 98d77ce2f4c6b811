//! Values of settings: from TOML or from one word of text, to the types that [`super::Config`] holds.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use super::LogFormat;
use crate::protocols::dap4::Checksums;

/// A value before its setting has said what it should be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Text(String),
    /// From the environment or a flag: text that may stand for any type.
    Word(String),
    Integer(i64),
    Boolean(bool),
    List(Vec<Value>),
    Table(Vec<(String, Value)>),
    /// Something no setting takes: its TOML type.
    Other(&'static str),
}

/// A range of IP addresses: `10.0.0.0/8`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    /// Whether `address` is in the range. An IPv4 address mapped into IPv6 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let same = |a: u128, b: u128, width: u32| width == 0 || (a ^ b) >> (128 - width) == 0;
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                let wide = |ip: std::net::Ipv4Addr| u128::from(u32::from(ip)) << 96;
                same(wide(a), wide(b), self.bits)
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => same(a.into(), b.into(), self.bits),
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is not an address or a network such as 10.0.0.0/8");
        let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
        let address: IpAddr = address.parse().ok().ok_or_else(wrong)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Some(most), |b| b.parse().ok()).filter(|b| *b <= most).ok_or_else(wrong)?;
        Ok(Self { address, bits })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl Value {
    fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) | Self::Word(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Boolean(_) => "a boolean",
            Self::List(_) => "an array",
            Self::Table(_) => "a table",
            Self::Other(kind) => kind,
        }
    }

    pub(super) fn wrong<T>(&self, expected: &str) -> Result<T, String> {
        match self {
            Self::Text(text) | Self::Word(text) => Err(format!("expected {expected}, found '{text}'")),
            Self::Integer(n) => Err(format!("expected {expected}, found {n}")),
            other => Err(format!("expected {expected}, found {}", other.kind())),
        }
    }

    pub(super) fn text(&self) -> Result<String, String> {
        match self {
            Self::Text(text) | Self::Word(text) => Ok(text.clone()),
            other => other.wrong("a string"),
        }
    }

    /// Text; empty for none.
    pub(super) fn text_if_set(&self) -> Result<Option<String>, String> {
        Ok(Some(self.text()?).filter(|text| !text.is_empty()))
    }

    pub(super) fn flag(&self) -> Result<bool, String> {
        match self {
            Self::Boolean(yes) => Ok(*yes),
            Self::Word(text) if text == "true" || text == "1" => Ok(true),
            Self::Word(text) if text == "false" || text == "0" => Ok(false),
            other => other.wrong("true or false"),
        }
    }

    /// Whether something is wanted; false for nothing said.
    pub(super) fn flag_if_set(&self) -> Result<Option<bool>, String> {
        Ok(self.flag()?.then_some(true))
    }

    /// A number that may be 0.
    pub(super) fn small(&self) -> Result<u32, String> {
        let found = match self {
            Self::Integer(n) => u32::try_from(*n).ok(),
            Self::Word(text) => text.parse().ok(),
            _ => None,
        };
        found.map_or_else(|| self.wrong("a whole number"), Ok)
    }

    pub(super) fn texts(&self) -> Result<Vec<String>, String> {
        match self {
            Self::List(items) => items.iter().map(Self::text).collect(),
            Self::Word(text) => {
                Ok(text.split(',').map(str::trim).filter(|t| !t.is_empty()).map(str::to_owned).collect())
            }
            other => other.wrong("an array of strings"),
        }
    }

    pub(super) fn paths(&self) -> Result<Vec<PathBuf>, String> {
        Ok(self.texts()?.into_iter().map(PathBuf::from).collect())
    }

    /// Folders of this machine, wherever the program is started.
    pub(super) fn absolute_paths(&self) -> Result<Vec<PathBuf>, String> {
        let paths = self.paths()?;
        match paths.iter().find(|path| !path.is_absolute()) {
            None => Ok(paths),
            Some(path) => Err(format!(
                "expected absolute paths of folders such as \"/mnt/archive\", found '{}'",
                path.display()
            )),
        }
    }

    /// A path; empty for none.
    pub(super) fn path_if_set(&self) -> Result<Option<PathBuf>, String> {
        Ok(self.text_if_set()?.map(PathBuf::from))
    }

    pub(super) fn networks(&self) -> Result<Vec<Network>, String> {
        self.texts()?.iter().map(|text| text.parse()).collect()
    }

    pub(super) fn address(&self) -> Result<SocketAddr, String> {
        const EXPECTED: &str = "an address and port such as 127.0.0.1:8080";
        let text = self.text().or_else(|_| self.wrong(EXPECTED))?;
        let text = match text.strip_prefix("localhost:") {
            Some(port) => format!("127.0.0.1:{port}"),
            None => text,
        };
        text.parse().or_else(|_| self.wrong(EXPECTED))
    }

    /// An address of its own, or none for "same".
    pub(super) fn address_or_same(&self) -> Result<Option<SocketAddr>, String> {
        if self.text().is_ok_and(|text| text == "same") {
            return Ok(None);
        }
        let wrong = |_| self.wrong("\"same\", or an address and port such as 127.0.0.1:9464");
        self.address().map(Some).or_else(wrong)
    }

    /// An absolute http(s) URL without its trailing slash; empty for none.
    pub(super) fn url(&self) -> Result<Option<String>, String> {
        const EXPECTED: &str = "a URL such as https://data.example.org/thalweg";
        let text = self.text().or_else(|_| self.wrong(EXPECTED))?;
        if text.is_empty() {
            return Ok(None);
        }
        let Ok(uri) = text.parse::<http::Uri>() else { return self.wrong(EXPECTED) };
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.query().is_some() {
            return self.wrong(EXPECTED);
        }
        Ok(Some(text.trim_end_matches('/').to_owned()))
    }

    pub(super) fn log_format(&self) -> Result<LogFormat, String> {
        match self.text().as_deref() {
            Ok("text") => Ok(LogFormat::Text),
            Ok("json") => Ok(LogFormat::Json),
            _ => self.wrong("'text' or 'json'"),
        }
    }

    pub(super) fn checksums(&self) -> Result<Checksums, String> {
        match self.text().as_deref() {
            Ok("auto") => Ok(Checksums::Auto),
            Ok("always") => Ok(Checksums::Always),
            Ok("never") => Ok(Checksums::Never),
            _ => self.wrong("'auto', 'always' or 'never'"),
        }
    }

    pub(super) fn number(&self) -> Result<u64, String> {
        let found = match self {
            Self::Integer(n) => u64::try_from(*n).ok(),
            Self::Word(text) => text.parse().ok(),
            _ => None,
        };
        found.filter(|n| *n > 0).map_or_else(|| self.wrong("a whole number above 0"), Ok)
    }

    pub(super) fn count(&self) -> Result<usize, String> {
        usize::try_from(self.number()?).or_else(|_| self.wrong("a smaller number"))
    }

    /// Seconds, or a number with a unit.
    pub(super) fn duration(&self) -> Result<Duration, String> {
        let found = match self {
            Self::Integer(n) => u64::try_from(*n).ok().map(Duration::from_secs),
            Self::Text(text) | Self::Word(text) => with_unit(text).and_then(|(n, unit)| {
                let unit = match unit {
                    "ms" => return Some(Duration::from_millis(n)),
                    "" | "s" => 1,
                    "min" => 60,
                    "h" => 3600,
                    _ => return None,
                };
                n.checked_mul(unit).map(Duration::from_secs)
            }),
            _ => None,
        };
        found.map_or_else(|| self.wrong("a time such as \"30 s\" (units: ms, s, min, h)"), Ok)
    }

    /// Bytes, or a number with a unit.
    pub(super) fn bytes(&self) -> Result<u64, String> {
        let found = match self {
            Self::Integer(n) => u64::try_from(*n).ok(),
            Self::Text(text) | Self::Word(text) => with_unit(text).and_then(|(n, unit)| {
                let shift = match unit {
                    "" | "B" => 0,
                    "KiB" => 10,
                    "MiB" => 20,
                    "GiB" => 30,
                    "TiB" => 40,
                    _ => return None,
                };
                n.checked_mul(1 << shift)
            }),
            _ => None,
        };
        found.map_or_else(|| self.wrong("a size such as \"64 MiB\" (units: B, KiB, MiB, GiB, TiB)"), Ok)
    }
}

fn with_unit(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, unit.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        let text = |t: &str| Value::Text(t.to_owned());
        assert_eq!(text("64 KiB").bytes(), Ok(65_536));
        assert_eq!(text("3GiB").bytes(), Ok(3 << 30));
        assert_eq!(Value::Integer(12).bytes(), Ok(12));
        assert!(text("18446744073709551615 TiB").bytes().is_err());
        assert!(text("KiB").bytes().is_err() && text("1 KB").bytes().is_err());
        assert_eq!(text("150 ms").duration(), Ok(Duration::from_millis(150)));
        assert_eq!(text("2 min").duration(), Ok(Duration::from_secs(120)));
        assert!(Value::Integer(-1).duration().is_err());
    }

    #[test]
    fn networks() {
        let network = |t: &str| t.parse::<Network>().unwrap();
        let ip = |t: &str| t.parse::<IpAddr>().unwrap();
        assert!(network("10.0.0.0/8").contains(ip("10.255.1.2")));
        assert!(!network("10.0.0.0/8").contains(ip("11.0.0.1")));
        assert!(network("10.0.0.0/8").contains(ip("::ffff:10.1.1.1")));
        assert!(
            network("127.0.0.1").contains(ip("127.0.0.1")) && !network("127.0.0.1").contains(ip("127.0.0.2"))
        );
        assert!(network("0.0.0.0/0").contains(ip("8.8.8.8")) && !network("0.0.0.0/0").contains(ip("::1")));
        assert!(network("fc00::/7").contains(ip("fd12::1")));
        assert!("10.0.0.0/33".parse::<Network>().is_err() && "host".parse::<Network>().is_err());
    }

    #[test]
    fn urls() {
        let url = |t: &str| Value::Text(t.to_owned()).url();
        assert_eq!(url("https://h/a/"), Ok(Some("https://h/a".to_owned())));
        assert_eq!(url(""), Ok(None));
        assert!(url("data.example.org").is_err() && url("ftp://h/").is_err());
    }
}
