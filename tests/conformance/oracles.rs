//! The values of the committed files over HTTP, against what netCDF-C and h5py read in them (the JSON
//! beside each file, made by the `make.py` there).

use std::{fs, path::Path};

use serde_json::Value;

use crate::{
    dap,
    world::{files, get, good},
};

fn json(path: &str) -> Value {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The target for one variable, every byte of its name encoded.
fn target(file: &str, variable: &str) -> String {
    let name: String = variable.bytes().map(|b| format!("%{b:02x}")).collect();
    format!("/opendap/{file}.dap?dap4.ce={name}")
}

/// netCDF-3: the bytes that netCDF-C gives for each variable are the data part.
#[test]
fn s3_3_netcdf3_files_hold_what_netcdf_c_reads() {
    let mut compared = 0;
    for (file, expected) in json("handlers/netcdf3/tests/data/expected.json").as_object().unwrap() {
        let name = format!("0/{file}");
        assert!(files().contains(&name), "{name}");
        for variable in expected["variables"].as_array().unwrap() {
            let target = target(&name, &format!("/{}", variable["name"].as_str().unwrap()));
            let body = good(&target).body;
            let data: Vec<u8> = dap::chunks(&body).0[1..].iter().flat_map(|(_, p)| p.clone()).collect();
            let hex: String = data.iter().map(|b| format!("{b:02x}")).collect();
            assert_eq!(Some(hex.as_str()), variable["bytes"].as_str(), "{target}");
            compared += 1;
        }
    }
    assert!(compared > 100, "{compared}");
}

/// Whether a decoded value is the one that the oracle read.
fn same(value: &str, expected: &Value) -> bool {
    let as_number = |text: &str| {
        let doubles = (value.parse::<f64>(), text.parse::<f64>());
        let singles = (value.parse::<f32>(), text.parse::<f32>());
        let same = |a: f64, b: f64| a == b || a.is_nan() && b.is_nan();
        matches!(doubles, (Ok(a), Ok(b)) if same(a, b)) || matches!(singles, (Ok(a), Ok(b)) if a == b)
    };
    match expected {
        Value::Number(n) if n.is_f64() => as_number(&n.to_string()),
        Value::Number(n) => value == n.to_string(),
        Value::String(text) if ["NaN", "inf", "-inf"].contains(&text.as_str()) => as_number(text),
        Value::String(text) => value == text.trim_start_matches("0x") || text.is_empty() && value == "\0",
        other => panic!("{other}"),
    }
}

/// Full names and values: netCDF-C's view where it has one (it fills short unlimited axes), else h5py's.
fn variables(expected: &Value) -> Vec<(String, &Vec<Value>)> {
    let mut found = Vec::new();
    let mut waiting = vec![(String::new(), &expected["netcdf"])];
    while let Some((path, group)) = waiting.pop() {
        for (name, variable) in group["variables"].as_object().into_iter().flatten() {
            found.extend(variable["values"].as_array().map(|v| (format!("{path}/{name}"), v)));
        }
        for (name, child) in group["groups"].as_object().into_iter().flatten() {
            waiting.push((format!("{path}/{name}"), child));
        }
    }
    if expected["netcdf"].is_null() {
        for (name, variable) in expected["h5py"].as_object().into_iter().flatten() {
            found.extend(variable["values"].as_array().map(|v| (name.clone(), v)));
        }
    }
    found
}

/// HDF5: numbers, texts and opaque values, element by element.
#[test]
fn s3_3_hdf5_files_hold_what_netcdf_c_and_h5py_read() {
    let mut compared = 0;
    for file in files().iter().filter(|f| f.starts_with("1/")) {
        let beside = format!("handlers/hdf5/testdata/{}.json", &file[2..]);
        let expected = json(&beside);
        let is_netcdf = Path::new(file).extension().is_some_and(|e| e == "nc");
        for (name, values) in variables(&expected) {
            // Structures and sequences are told apart elsewhere.
            if values.iter().any(|v| !v.is_number() && !v.is_string()) {
                continue;
            }
            let answer = get(&target(file, &name));
            if answer.status != 200 {
                // A dimension without a variable, a type that netCDF does not know, data in other files.
                let why = if file.ends_with("refused.h5") { &[400, 403, 500, 501][..] } else { &[400] };
                assert!(why.contains(&answer.status), "{file} {name}: {}", answer.status);
                continue;
            }
            let found = dap::decode(&answer.body, false).values;
            if expected["netcdf"].is_null() && is_netcdf && found.len() > values.len() {
                continue; // h5py does not fill an axis that another variable made longer; netCDF does
            }
            let is_same = found.len() == values.len() && found.iter().zip(values).all(|(f, v)| same(f, v));
            assert!(is_same, "{file} {name}: {found:?} and {values:?}");
            compared += 1;
        }
    }
    assert!(compared > 50, "{compared}");
}
