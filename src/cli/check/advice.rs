//! What comes of an error, and what mends it, in words: one place, by the error's kind.

use cdm::{Error, ErrorKind};
use handlers::aggregation::{Note, NoteKind};

use super::{Level, Problem};
use crate::{
    catalog::{DatasetName, tds},
    protocols::status_of,
};

/// A problem of a dataset that is still to be named.
#[derive(Debug, Clone)]
pub(super) struct Finding {
    pub(super) level: Level,
    pub(super) variable: Option<String>,
    pub(super) what: String,
    pub(super) consequence: String,
    pub(super) fix: String,
}

impl Finding {
    /// A warning about the whole dataset.
    pub(super) fn warning(
        what: impl Into<String>,
        consequence: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        let (what, consequence, fix) = (what.into(), consequence.into(), fix.into());
        Self { level: Level::Warning, variable: None, what, consequence, fix }
    }

    /// The same of one variable.
    pub(super) fn about(self, variable: impl Into<String>) -> Self {
        Self { variable: Some(variable.into()), ..self }
    }

    /// The problem, of `dataset`.
    pub(super) fn of(self, dataset: String) -> Problem {
        let Self { level, variable, what, consequence, fix } = self;
        Problem { level, dataset, variable, what, consequence, fix }
    }
}

/// What a user should know of an aggregation; what was converted is no problem.
pub(super) fn of_note(note: &Note) -> Option<Finding> {
    let what = match &note.member {
        Some(member) => format!("{member}: {}", note.message),
        None => note.message.clone(),
    };
    let (consequence, fix) = match note.kind {
        NoteKind::LeftOut => {
            ("the dataset is served without it", "mend it, or leave it out of the definition")
        }
        NoteKind::Unstable => {
            ("the dataset is served without it until then", "check again when nothing writes to it")
        }
        NoteKind::Duplicate => ("one of them is served", "remove the other, or name members more narrowly"),
        NoteKind::Overlap => ("each place is served from one of them", "remove what is there twice"),
        NoteKind::Gap => ("clients that expect even steps are misled", "put the missing members there"),
        NoteKind::Converted | NoteKind::Ordered => return None,
    };
    Some(Finding::warning(what, consequence, fix))
}

/// What a catalog of a THREDDS content folder has that is not served, or not as it says.
pub(super) fn of_catalog(problem: &tds::Problem) -> Problem {
    Problem {
        level: if problem.is_error { Level::Error } else { Level::Warning },
        dataset: problem.place.clone(),
        variable: None,
        what: problem.what.clone(),
        consequence: problem.consequence.clone(),
        fix: problem.fix.clone(),
    }
}

/// A dataset that the catalog at `place` names, and that is not there.
pub(super) fn of_named(place: String, name: &DatasetName, error: &Error) -> Problem {
    Problem {
        level: Level::Error,
        dataset: place,
        variable: None,
        what: format!("the urlPath {name} leads nowhere: {}", error.message()),
        consequence: format!("it is shown, and every request for it fails with {}", status(error)),
        fix: "correct the urlPath, or the location of the datasetRoot that it begins with".to_owned(),
    }
}

/// A dataset that cannot be opened.
pub(super) fn of_dataset(dataset: String, error: &Error) -> Problem {
    let consequence = format!("it is listed, and every request for it fails with {}", status(error));
    let fix = match error.kind() {
        ErrorKind::Unsupported => {
            "convert it to a format that is served (nccopy, h5repack, gdal_translate), or move it elsewhere"
        }
        ErrorKind::Corrupt => {
            "make or copy it again, and compare its size and checksum with the original; or move it elsewhere"
        }
        kind => fix(kind),
    };
    Problem {
        level: Level::Error,
        dataset,
        variable: None,
        what: error.to_string(),
        consequence,
        fix: fix.to_owned(),
    }
}

/// A variable of which something cannot be read.
pub(super) fn of_variable(variable: &str, error: &Error) -> Finding {
    let repeated = format!("{variable}: ");
    let what = error.message();
    Finding {
        level: Level::Error,
        variable: Some(variable.to_owned()),
        what: what.strip_prefix(&repeated).unwrap_or(what).to_owned(),
        consequence: format!(
            "it is listed, and reading these values fails with {}; the rest of the dataset is served",
            status(error)
        ),
        fix: match error.kind() {
            ErrorKind::Unsupported => {
                "write it again with a compression and a type that are served (of HDF5: h5repack -f GZIP=4)"
            }
            ErrorKind::Corrupt | ErrorKind::NotFound => {
                "make or copy the dataset again, and compare its size and checksum with the original"
            }
            ErrorKind::Forbidden => {
                "store the values in the dataset itself, or beside it in the served folder; chunk references may also lead to \
                 the places in references.allow"
            }
            kind => fix(kind),
        }
        .to_owned(),
    }
}

/// A folder that cannot be listed.
pub(super) fn of_folder(folder: String, error: &Error) -> Problem {
    Problem {
        level: Level::Error,
        dataset: folder,
        variable: None,
        what: error.to_string(),
        consequence: format!("nothing in it is listed or served: its page answers {}", status(error)),
        fix: fix(error.kind()).to_owned(),
    }
}

/// A folder that is one of those above it.
pub(super) fn of_loop(folder: String) -> Problem {
    Problem {
        level: Level::Warning,
        dataset: folder,
        variable: None,
        what: "it holds just what a folder above it holds: a link that leads back up".to_owned(),
        consequence:
            "every dataset has many addresses, and programs that follow the catalog do not come to an end"
                .to_owned(),
        fix: "remove the link".to_owned(),
    }
}

/// A data file whose name no URL may have.
pub(super) fn of_name(dataset: String) -> Problem {
    Problem {
        level: Level::Error,
        dataset,
        variable: None,
        what: "its name holds a backslash, a control character, or too many characters".to_owned(),
        consequence: "it is not listed and cannot be asked for".to_owned(),
        fix: "rename it".to_owned(),
    }
}

/// Something with a data file's name that the storage does not give out.
pub(super) fn of_unusable(dataset: String, why: &str) -> Problem {
    Problem {
        level: Level::Error,
        dataset,
        variable: None,
        what: why.to_owned(),
        consequence: "it is not listed and cannot be asked for".to_owned(),
        fix: "put the file itself there; or, when it is a link, name the folder that it leads into in follow_symlinks"
            .to_owned(),
    }
}

fn status(error: &Error) -> String {
    let status = status_of(error.kind());
    format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or_default()).trim_end().to_owned()
}

fn fix(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Forbidden => {
            "let the server's user read it, and let it refer to nothing outside of the served folder"
        }
        ErrorKind::NotFound => "put back what it refers to, or remove the reference",
        ErrorKind::Changed => "check again when nothing writes to it; replace files by renaming",
        ErrorKind::Storage | ErrorKind::TimedOut => {
            "see to the disk or the network that it is on, and check again"
        }
        ErrorKind::Overloaded | ErrorKind::TooLarge => {
            "store it in smaller chunks, or raise limits.memory and check again"
        }
        ErrorKind::Corrupt => "make it again, and compare it with the original",
        ErrorKind::Unsupported => "write it in a form that is served",
        ErrorKind::BadRequest | ErrorKind::Internal => "report it with the file: this is a fault of thalweg",
    }
}
