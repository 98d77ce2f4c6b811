//! `thalweg sign`: a URL that opens a dataset or a folder for whoever has it, until a time.

use std::{
    io::{self, Write},
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use clap::Args;

use super::{Failure, assemble::assemble, block_on, say, stores::StoreArguments};
use crate::{
    access,
    catalog::{Catalog, DatasetName},
    config::Config,
    server::{Route, route},
};

/// Longer is no end.
const LONGEST: Duration = Duration::from_secs(10 * 366 * 24 * 3600);

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The URL of a dataset or a folder as clients use it, or its name
    #[arg(required_unless_present = "new_key")]
    url: Option<String>,
    /// How long the link is good: 30min, 12h, 7d
    #[arg(long = "for", value_name = "TIME", default_value = "7d")]
    time: String,
    /// Print a new key for `signing.keys` or a file of `signing.key_files`, and nothing else
    #[arg(long)]
    new_key: bool,
    /// A folder, file or URL that is served, in place of those of the settings
    #[arg(long = "root", value_name = "PATH")]
    roots: Vec<PathBuf>,
    #[command(flatten)]
    stores: StoreArguments,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let Some(url) = arguments.url.as_deref().filter(|_| !arguments.new_key) else {
        return Ok(writeln!(out, "{}", access::new_secret().map_err(Failure::Failed)?)?);
    };
    let time = duration(&arguments.time).ok_or_else(|| {
        Failure::Usage(format!("--for: expected a time such as 30min, 12h or 7d, found '{}'", arguments.time))
    })?;
    let mut inputs = arguments.stores.inputs(Vec::new());
    inputs.places.clone_from(&arguments.roots);
    let (link, scope, until) = block_on(async {
        let assembled = assemble(&inputs, u64::MAX, None)?;
        let config = &assembled.loaded.config;
        let (base, path) = split(url, config)?;
        let scope = scope(&path, &assembled.catalog).await?;
        let until = SystemTime::now() + time;
        let seconds = until.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let token = assembled.access.links().sign(scope.as_str(), seconds).ok_or_else(|| {
            Failure::Usage(
                "there is no key: set signing.keys or signing.key_files in the settings that the server \
                            has, and name them with --config (thalweg sign --new-key makes one)"
                    .to_owned(),
            )
        })?;
        Ok((format!("{base}/~{token}{path}"), scope, until))
    })?;
    let shown = if scope.is_top() { "everything".to_owned() } else { scope.to_string() };
    say(format_args!("opens {shown} until {}, for whoever has it:", httpdate::fmt_http_date(until)));
    Ok(writeln!(out, "{link}")?)
}

/// The server's own address in `url`, and the path with the query behind it.
fn split(url: &str, config: &Config) -> Result<(String, String), Failure> {
    let own = || config.public_url.clone().unwrap_or_else(|| format!("http://{}", config.listen));
    let is_data = |path: &str| {
        let path = path.split('?').next().unwrap_or(path);
        matches!(route(path), Ok(Route::Dataset { .. } | Route::Catalog { .. } | Route::File { .. }))
    };
    let Some((scheme, rest)) = url.split_once("://") else {
        if url.starts_with('/') && is_data(url) {
            return Ok((own(), url.to_owned()));
        }
        let name = DatasetName::new(url.trim_matches('/'))?;
        return Ok((own(), format!("/opendap/{}", name.to_url())));
    };
    // As it is set, else what the route begins behind.
    if let Some(path) = config.public_url.as_deref().and_then(|own| url.strip_prefix(own))
        && is_data(path)
    {
        return Ok((own(), path.to_owned()));
    }
    for (at, _) in rest.match_indices('/') {
        let (base, path) = rest.split_at(at);
        if path.starts_with("/~") {
            return Err(Failure::Usage(
                "this is a signed link already; name the address without its ~ part".to_owned(),
            ));
        }
        if is_data(path) && path != "/" {
            return Ok((format!("{scheme}://{base}"), path.to_owned()));
        }
    }
    Err(Failure::Usage(format!("{url} is no address of a dataset or a folder of this server")))
}

/// The dataset or folder that `path` leads to.
async fn scope(path: &str, catalog: &Catalog) -> Result<DatasetName, Failure> {
    let path = path.split('?').next().unwrap_or(path);
    let missing = |name: &DatasetName| {
        let hint = "name the settings that the server has (--config) and the folders it serves (--root), if they are not in them";
        Failure::Failed(format!("there is neither a dataset nor a folder {name}; {hint}"))
    };
    let names: Vec<DatasetName> = match route(path)? {
        Route::Dataset { candidates, .. } => {
            candidates.into_iter().map(|candidate| candidate.dataset).collect()
        }
        Route::File { dataset } => vec![dataset],
        Route::Catalog { folder, .. } => vec![folder],
        Route::Fixed(_) => Vec::new(),
    };
    for name in &names {
        if !name.is_top() && catalog.stat(name).await.is_ok() {
            return Ok(name.clone());
        }
    }
    let first = names.into_iter().next().unwrap_or_else(DatasetName::top);
    if catalog.list_bare(&first).await.is_ok() { Ok(first) } else { Err(missing(&first)) }
}

fn duration(text: &str) -> Option<Duration> {
    let digits = text.trim().bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.trim().split_at_checked(digits)?;
    let unit = match unit.trim() {
        "s" => 1,
        "min" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        _ => return None,
    };
    let seconds = number.parse::<u64>().ok()?.checked_mul(unit)?;
    Some(Duration::from_secs(seconds)).filter(|time| !time.is_zero() && *time <= LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_split_where_the_route_begins() {
        let check = |config: &Config, url: &str, expect: Option<(&str, &str)>| {
            let found = split(url, config).ok();
            let found = found.as_ref().map(|(base, path)| (base.as_str(), path.as_str()));
            assert_eq!(found, expect, "{url}");
        };
        let plain = Config::default();
        let path = "/opendap/a/x.nc";
        check(&plain, "https://h:8/opendap/a/x.nc", Some(("https://h:8", path)));
        check(&plain, "https://h/data/opendap/a/x.nc", Some(("https://h/data", path)));
        check(&plain, "/opendap/a/x.nc", Some(("http://127.0.0.1:8080", path)));
        check(&plain, "a/x.nc", Some(("http://127.0.0.1:8080", path)));
        check(&plain, "https://h/catalog/a/", Some(("https://h", "/catalog/a/")));
        check(&plain, "https://h/~abc/opendap/a/x.nc", None);
        check(&plain, "https://h/nothing", None);
        let public = Config { public_url: Some("https://d.org/opendap".to_owned()), ..Config::default() };
        check(&public, "https://d.org/opendap/opendap/a/x.nc", Some(("https://d.org/opendap", path)));
        check(&public, "a/x.nc", Some(("https://d.org/opendap", path)));
    }

    #[test]
    fn times() {
        assert_eq!(duration("7d"), Some(Duration::from_secs(7 * 86_400)));
        assert_eq!(duration("30 min"), Some(Duration::from_secs(1800)));
        for bad in ["", "7", "d", "0h", "-1d", "99999999999999999999d", "400000d"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }
}
