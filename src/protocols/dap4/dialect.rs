//! What is known of the client from its `User-Agent`: who expects checksums without asking, who needs
//! attributes written differently (protocol notes 2.9, 2.11, 3.6).
//!
//! Every answer that depends on it carries `Vary: User-Agent`.

use http::{HeaderMap, header};

/// Whether checksums are sent to a client whose query does not say (`dap4.checksum`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Checksums {
    /// To clients whose `User-Agent` is known to expect them.
    #[default]
    Auto,
    /// To all but those that are known to misread them.
    Always,
    /// To none.
    Never,
}

/// The client's peculiarities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about a client")]
pub(super) struct Client {
    /// It is netCDF-C, of whatever version.
    pub(super) netcdf_c: bool,
    /// It reads a checksum behind each variable although its query does not ask for them.
    pub(super) expects_checksums: bool,
    /// It obeys the flag "no checksums" in the first chunk, and nothing else (netCDF-C up to 4.9.0).
    pub(super) obeys_no_checksum_flag: bool,
    /// It never reads checksums when several variables are asked for at once.
    pub(super) one_checksum_only: bool,
    /// It reads the variables of child groups before those of their group, as Hyrax writes them.
    pub(super) groups_first: bool,
}

impl Client {
    /// The client that sent `headers`.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let agent = headers.get(header::USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or_default();
        Self::named(agent)
    }

    fn named(agent: &str) -> Self {
        if let Some(version) = agent.strip_prefix("netCDF") {
            let (major, minor, patch) = version_of(version);
            // The wheels of 4.9.2 call themselves 4.9.3-development.
            let old = (major, minor, patch) < (4, 9, 3)
                || ((major, minor, patch) == (4, 9, 3) && version.contains("-development"));
            return Self {
                netcdf_c: true,
                expects_checksums: old,
                obeys_no_checksum_flag: (major, minor, patch) <= (4, 9, 0),
                one_checksum_only: !old,
                groups_first: false,
            };
        }
        if let Some(version) = agent.strip_prefix("libdap/") {
            let (major, minor, _) = version_of(version);
            return Self {
                expects_checksums: major == 3 && (10..=20).contains(&minor),
                groups_first: true,
                ..Self::default()
            };
        }
        Self::default()
    }

    /// Whether checksums are sent, given the query's wish, what is sent without one, and how many
    /// variables are answered.
    pub(super) fn checksums(self, asked: Option<bool>, unasked: Checksums, variables: usize) -> bool {
        // netCDF-C from 4.9.3 on reads several variables with checksums as garbage, even when it asked
        // for them; without, it reads them right (notes 3.6).
        if self.one_checksum_only && variables > 1 {
            return false;
        }
        asked.unwrap_or(match unasked {
            Checksums::Auto => self.expects_checksums,
            Checksums::Always => true,
            Checksums::Never => false,
        })
    }

    /// The dialect's part in a reply's identity.
    pub(super) fn identity(self) -> &'static str {
        if self.netcdf_c { "netcdf-c" } else { "plain" }
    }
}

/// `4.9.2-rc1` as (4, 9, 2); what is missing counts as 0.
fn version_of(text: &str) -> (u32, u32, u32) {
    let mut numbers = text.trim_start_matches(['-', '/', ' ']).split('.').map(|part| {
        let digits: String = part.chars().take_while(char::is_ascii_digit).take(6).collect();
        digits.parse().unwrap_or(0)
    });
    let mut next = || numbers.next().unwrap_or(0);
    (next(), next(), next())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The matrix of protocol notes 3.6: who expects checksums when the query is silent.
    #[test]
    fn checksum_defaults_follow_the_matrix() {
        for (agent, expected) in [
            ("netCDF4.9.0", true),
            ("netCDF4.8.1", true),
            ("netCDF4.9.2", true),
            ("netCDF4.9.3-development", true),
            ("netCDF4.9.3", false),
            ("netCDF4.9.4-development", false),
            ("netCDF4.10.1", false),
            ("libdap/3.20.11", true),
            ("libdap/3.22.0", false),
            ("python-requests/2.32", false),
            ("", false),
            ("Mozilla/5.0", false),
        ] {
            assert_eq!(Client::named(agent).checksums(None, Checksums::Auto, 1), expected, "{agent}");
            assert_eq!(Client::named(agent).checksums(None, Checksums::Auto, 3), expected, "{agent}");
            assert!(Client::named(agent).checksums(Some(true), Checksums::Auto, 1), "{agent}");
            assert!(!Client::named(agent).checksums(Some(false), Checksums::Auto, 1), "{agent}");
        }
    }

    #[test]
    fn new_netcdf_c_gets_no_checksums_behind_several_variables() {
        assert!(!Client::named("netCDF4.10.1").checksums(Some(true), Checksums::Auto, 2));
        assert!(Client::named("netCDF4.9.0").checksums(Some(true), Checksums::Auto, 2));
        assert!(Client::named("python-requests/2.32").checksums(Some(true), Checksums::Auto, 2));
    }

    #[test]
    fn the_default_can_be_set_but_the_query_wins() {
        for agent in ["netCDF4.9.0", "netCDF4.10.1", "libdap/3.20.11", ""] {
            let client = Client::named(agent);
            assert!(client.checksums(None, Checksums::Always, 1), "{agent}");
            assert!(!client.checksums(None, Checksums::Never, 1), "{agent}");
            assert!(client.checksums(Some(true), Checksums::Never, 1), "{agent}");
            assert!(!client.checksums(Some(false), Checksums::Always, 1), "{agent}");
        }
        assert!(!Client::named("netCDF4.10.1").checksums(None, Checksums::Always, 2));
    }

    #[test]
    fn only_old_netcdf_c_obeys_the_flag() {
        assert!(Client::named("netCDF4.9.0").obeys_no_checksum_flag);
        assert!(!Client::named("netCDF4.9.2").obeys_no_checksum_flag);
        assert!(!Client::named("libdap/3.20.11").obeys_no_checksum_flag);
    }
}
