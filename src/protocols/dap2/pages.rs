//! The pages for people: `.info`, `.help`, and `.ver` (which getdap reads too).

use crate::protocols::Request;

/// Versions of the protocol and the server, plain text.
pub(super) fn version() -> String {
    format!("Core version: DAP/2.0\nServer version: thalweg/{}\n", env!("CARGO_PKG_VERSION"))
}

/// What may be asked.
pub(super) fn help(request: &Request<'_>) -> String {
    let url = escaped(request.base_url);
    let rows = [
        (".dds", "structure: names, types, dimensions"),
        (".das", "attributes"),
        (".dods", "values, binary; what DAP2 clients read"),
        (".ascii", "values as text"),
        (".info", "structure and attributes on one page"),
        (".ver", "versions of the protocol and the server"),
    ];
    let rows = rows.iter().fold(String::new(), |all, (suffix, what)| {
        all + &format!("<li><code>{url}{suffix}</code>: {what}</li>\n")
    });
    page(
        "DAP2 help",
        &format!(
            "<p>Programs open <code>{url}</code>. By hand, append:</p>\n<ul>\n{rows}</ul>\n\
             <p>A constraint follows after a question mark: variables separated by commas, each with one \
             <code>[start:stride:stop]</code> per dimension (both ends included), then conditions on the rows of \
             sequences, each after <code>&amp;</code>. Example: <code>{url}.ascii?name[0:1:9][0]</code></p>\n"
        ),
    )
}

/// Structure and attributes on one page.
pub(super) fn info(request: &Request<'_>, dds: &str, das: &str) -> String {
    page(
        request.dataset,
        &format!(
            "<p>Open this dataset as <code>{}</code></p>\n<h2>Structure</h2>\n<pre>{}</pre>\n\
             <h2>Attributes</h2>\n<pre>{}</pre>\n",
            escaped(request.base_url),
            escaped(dds),
            escaped(das)
        ),
    )
}

fn page(title: &str, body: &str) -> String {
    let title = escaped(title);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{title}</title></head>\n\
         <body>\n<h1>{title}</h1>\n{body}</body>\n</html>\n"
    )
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
