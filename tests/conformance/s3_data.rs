//! Section 3: the binary data response, byte for byte and by the decoder of [`crate::dap`].

use crate::{
    answers, dap,
    world::{ask, files, get, good, in_memory},
    xml,
};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The body after the first chunk.
fn after_dmr(body: &[u8]) -> &[u8] {
    let (chunks, _) = dap::chunks(body);
    &body[4 + chunks[0].1.len()..]
}

#[test]
fn s3_4_example_a_atomic_types() {
    let expected = "05000050\
        80ff0080ffffffffff7fffffffffffffffffffffff7fffffffffffffffffdb0f4940182d4454fb210940\
        400b0000000000000068656c6c6f09776f726c6408000000000000000123456789abcdef027f";
    assert_eq!(hex(after_dmr(&good("/opendap/atomic.nc.dap").body)), expected);
}

#[test]
fn s3_5_example_b_checksums() {
    assert_eq!(dap::crc32(b"\x01\0\0\0\x02\0\0\0"), 0x0381_177c, "the notes' check value");
    for (dataset, expected) in [
        ("pair", "050000 0c 01000000 02000000 7c178103"),
        ("texts", "05000019 0200000000000000 6162 0300000000000000 636465 b61df65d"),
    ] {
        let body = good(&format!("/opendap/{dataset}.nc.dap?dap4.checksum=true")).body;
        assert_eq!(hex(after_dmr(&body)), expected.replace(' ', ""), "{dataset}");
    }
}

/// 3.1 to 3.3 for everything there is: chunks, CR LF, flags, sizes as the DMR says, checksums; the
/// embedded DMR is the `.dmr` answer; a known length is announced and right.
#[test]
fn s3_every_dataset_decodes() {
    let mut refused = 0;
    for name in in_memory().chain(files().iter().cloned()) {
        let url = format!("/opendap/{name}");
        let dmr = good(&format!("{url}.dmr"));
        let answer = get(&format!("{url}.dap"));
        if answer.status != 200 {
            // Files made of what cannot or must not be read (links out of the file, unknown filters).
            let why = xml::parse(answer.text());
            assert!([403, 500, 501].contains(&answer.status), "{name}: {why:?}");
            refused += 1;
            continue;
        }
        assert!(answer.is_whole, "{name}");
        let decoded = dap::decode(&answer.body, false);
        assert_eq!(decoded.dmr, dmr.text(), "{name}");
        let sums = dap::decode(&good(&format!("{url}.dap?dap4.checksum=true")).body, true);
        assert!(sums.values == decoded.values, "{name}");
        assert_eq!(answer.header("accept-ranges") == "bytes", !answer.header("content-length").is_empty());
    }
    assert!(refused * 4 < files().len(), "{refused} files cannot be read");
}

#[test]
fn s3_1_long_answers_are_cut_into_chunks() {
    let answer = good("/opendap/long.nc.dap?dap4.checksum=true");
    assert_eq!(answer.header("content-length"), answer.body.len().to_string());
    let (chunks, _) = dap::chunks(&answer.body);
    assert!(chunks.len() > 3, "{} chunks", chunks.len());
    let values = dap::decode(&answer.body, true).values;
    assert_eq!(values.len(), answers::LONG);
    assert!(values.iter().enumerate().all(|(i, v)| *v == i.to_string()));
}

/// 3.2: a netCDF-C client takes a first chunk with the last-flag for no data at all.
#[test]
fn s3_2_an_empty_selection_still_has_a_second_chunk() {
    let body = good("/opendap/rich.nc.dap?dap4.ce=/empty&dap4.checksum=true").body;
    assert_eq!(hex(after_dmr(&body)), "0500000400000000", "nothing, and the checksum of nothing");
    assert_eq!(hex(after_dmr(&good("/opendap/rich.nc.dap?dap4.ce=/empty").body)), "05000000");
}

#[test]
fn s3_3_variable_length_types_are_counts_and_elements() {
    let body = good("/opendap/rich.nc.dap?dap4.ce=/ragged").body;
    let expected = format!("05000020{}{}{}", hex(&[0; 8]), hex(&3_u64.to_le_bytes()), {
        hex(&[5_i32, 6, 7].map(i32::to_le_bytes).concat())
    });
    // 8 + 8 + 12 bytes.
    assert_eq!(hex(after_dmr(&body)), expected.replace("05000020", "0500001c"));
}

/// The matrix of 3.6: what each client is sent with and without the parameter.
#[test]
fn s3_6_checksums_follow_the_query_and_the_client() {
    let plain = good("/opendap/V1_1.nc.dap").body;
    for (agent, silent, wanted, unwanted) in [
        ("", false, true, false),
        ("Mozilla/5.0", false, true, false),
        ("python-requests/2.32", false, true, false),
        ("Java-netCDF/5", false, true, false),
        ("netCDF4.8.1", true, true, false),
        ("netCDF4.9.0", true, true, false),
        ("netCDF4.9.2", true, true, false),
        ("netCDF4.9.3-development", true, true, false),
        // Several variables with checksums would be garbage to these: refused there.
        ("netCDF4.9.3", false, false, false),
        ("netCDF4.9.4-development", false, false, false),
        ("netCDF4.10.1", false, false, false),
        ("libdap/3.20.11", true, true, false),
        ("libdap/3.22.0", false, true, false),
    ] {
        for (query, expected) in [
            ("", silent),
            ("dap4.checksum=true", wanted),
            ("dap4.checksum=TRUE", wanted),
            ("dap4.checksum=false", unwanted),
            ("dap4.checksum=", silent),
        ] {
            let headers = format!("User-Agent: {agent}\r\n");
            let answer = ask("GET", &format!("/opendap/V1_1.nc.dap?{query}"), &headers);
            let values = dap::decode(&answer.body, expected).values;
            assert_eq!(values, ["0"; 4], "{agent} {query}");
            assert_eq!(answer.body.len(), plain.len() + if expected { 12 } else { 0 }, "{agent} {query}");
            assert!(answer.all("vary").contains("User-Agent"));
            // Only up to 4.9.0 is the flag obeyed, and only there is it needed.
            let flagged = agent.starts_with("netCDF4.8") || agent == "netCDF4.9.0";
            assert_eq!(answer.body[0] == 0x0c, flagged && !expected, "{agent} {query}");
        }
    }
    // One variable at a time is what they ask, with checksums if they like.
    let one =
        ask("GET", "/opendap/V1_1.nc.dap?dap4.ce=/u&dap4.checksum=true", "User-Agent: netCDF4.10.1\r\n");
    assert_eq!(dap::decode(&one.body, true).values, ["0"]);
    // No checksums in a description.
    assert!(!good("/opendap/V1_1.nc.dmr?dap4.checksum=true").text().contains("_DAP4_Checksum_CRC32"));
}
