//! `featureCollection`: the files of a forecast model's runs, by TDS' collection specification.

use handlers::{
    ncml::document::{Aggregation, ForecastView, Join, Netcdf, Scan},
    xml::Element,
};

/// The members of a collection.
///
/// # Errors
/// What the specification lacks.
pub(super) fn scan(element: &Element<'_>) -> Result<Scan, String> {
    let Some(collection) = element.first("collection") else {
        return Err("a <featureCollection> without <collection>".to_owned());
    };
    let spec = collection.attribute("spec").unwrap_or_default().trim();
    let Some((folder, files)) = spec.rsplit_once('/') else {
        return Err(format!("the collection '{spec}' names no folder"));
    };
    let (folder, subfolders) = folder.strip_suffix("/**").map_or((folder, false), |above| (above, true));
    let (pattern, mark) = with_date(files);
    let whole = if subfolders { format!("(.*/)?{pattern}") } else { pattern };
    Ok(Scan {
        line: collection.line,
        location: folder.to_owned(),
        suffix: None,
        pattern: Some(whole),
        glob: None,
        subfolders,
        older_than: None,
        date_format_mark: collection.attribute("dateFormatMark").map(str::to_owned).or(mark),
    })
}

/// The names of files as a regular expression, and where the date is in them: of `gfs_#yyyyMMdd#.nc$` these are
/// `gfs_.{8}.nc` and `gfs_#yyyyMMdd`.
fn with_date(files: &str) -> (String, Option<String>) {
    let files = files.strip_suffix('$').unwrap_or(files);
    let mut parts = files.splitn(3, '#');
    let (before, date, after) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
    let (Some(date), Some(after)) = (date, after) else {
        let any = if files.is_empty() { ".*" } else { files };
        return (any.to_owned(), None);
    };
    let pattern = format!("{before}.{{{}}}{after}", date.chars().count());
    // A count of characters, or behind `.*` the text that the date follows.
    let mark = match before.strip_prefix(".*") {
        Some(text) => format!("#{text}#{date}"),
        None => format!("{before}#{date}"),
    };
    (pattern, Some(mark))
}

/// The dataset that shows the members as `view`.
pub(super) fn definition(line: usize, scan: &Scan, view: ForecastView) -> Netcdf {
    let aggregation = Aggregation {
        line,
        join: Join::Forecast(view),
        dimension: Some("run".to_owned()),
        recheck: None,
        time_units_change: false,
        variables: Vec::new(),
        promote: Vec::new(),
        cache: Vec::new(),
        scans: vec![scan.clone()],
        members: Vec::new(),
    };
    Netcdf { line, aggregation: Some(aggregation), ..Netcdf::default() }
}

#[cfg(test)]
mod tests {
    use super::with_date;

    #[test]
    fn names_with_dates() {
        let check = |files: &str, pattern: &str, mark: Option<&str>| {
            assert_eq!(with_date(files), (pattern.to_owned(), mark.map(str::to_owned)));
        };
        check("gfs_#yyyyMMdd_HHmm#\\.nc$", "gfs_.{13}\\.nc", Some("gfs_#yyyyMMdd_HHmm"));
        check(".*_#yyyyMMdd#.nc", ".*_.{8}.nc", Some("#_#yyyyMMdd"));
        check(".*nc$", ".*nc", None);
        check("", ".*", None);
    }
}
