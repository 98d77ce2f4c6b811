//! The DSR: which services a dataset has (protocol notes 1.8).

use cdm::Dataset;

use super::xml::Document;

/// Title, role, description, and links as suffix and media type.
type Service = (&'static str, &'static str, &'static str, &'static [(&'static str, &'static str)]);

/// The DSR of `dataset`, whose URL is `base`.
pub(super) fn dsr(dataset: &Dataset, base: &str) -> String {
    const METADATA: &str = "application/vnd.opendap.dap4.dataset-metadata+xml";
    const SERVICES: &str = "application/vnd.opendap.dap4.dataset-services+xml";
    let mut out = Document::new();
    out.open(
        "DatasetServices",
        &[("xmlns", "http://xml.opendap.org/ns/DAP/4.0/dataset-services#"), ("xml:base", base)],
    );
    out.leaf("DapVersion", &[], "4.0");
    out.leaf("DapVersion", &[], "2.0");
    out.leaf("ServerSoftwareVersion", &[], concat!("thalweg ", env!("CARGO_PKG_VERSION")));
    out.empty("Dataset", &[("name", dataset.name())]);
    let services: [Service; 3] = [
        (
            "DAP4 Dataset Services",
            "dataset-services",
            "Describes the services of this dataset.",
            &[(".dsr", SERVICES), (".dsr.xml", "text/xml"), (".html", "text/html")],
        ),
        (
            "DAP4 Dataset Metadata",
            "dataset-metadata",
            "Describes the structure and attributes of this dataset.",
            &[(".dmr", METADATA), (".dmr.xml", "text/xml")],
        ),
        (
            "DAP4 Data",
            "data",
            "Gives the data, whole or constrained by dap4.ce.",
            &[(".dap", "application/vnd.opendap.dap4.data")],
        ),
    ];
    for (title, role, description, links) in services {
        let role = format!("http://services.opendap.org/dap4/{role}");
        out.open("Service", &[("title", title), ("role", &role)]);
        out.leaf("Description", &[], description);
        for (suffix, media_type) in links {
            out.empty("link", &[("type", media_type), ("href", &format!("{base}{suffix}"))]);
        }
        out.close();
    }
    out.finish()
}
