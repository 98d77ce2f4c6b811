//! Pages: what the request form announces is what the data requests answer, and every page has its JSON.

use cdm::testing::Random;
use serde_json::Value;

use crate::world::{ask, files, get, good, in_memory};

/// The path and query of an address of this server.
fn target(url: &str) -> &str {
    let (_, rest) = url.split_once("://").unwrap();
    &rest[rest.find('/').unwrap()..]
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

fn json(target: &str) -> Value {
    serde_json::from_str(good(target).text()).unwrap()
}

/// Full names of the variables of a page's `structure`.
fn variables(group: &Value, found: &mut Vec<String>) {
    let prefix = group["name"].as_str().unwrap().trim_end_matches('/');
    let prefix = if prefix.starts_with('/') { prefix } else { "" };
    for variable in group["variables"].as_array().unwrap() {
        found.push(format!("{prefix}/{}", variable["name"].as_str().unwrap()));
    }
    for group in group["groups"].as_array().unwrap() {
        variables(group, found);
    }
}

/// A query for some variables and a part of each axis.
fn some(page: &Value, names: &[String], random: &mut Random) -> String {
    let mut query = String::from("part=request");
    for name in names {
        if random.below(3) == 0 {
            query += &format!("&v={}", encoded(name));
        }
    }
    for axis in page["request"]["axes"].as_array().unwrap() {
        let (key, size) = (encoded(axis["axis"].as_str().unwrap()), axis["size"].as_u64().unwrap());
        if random.below(2) == 0 {
            let first = random.below(size);
            let last = first + random.below(size - first);
            query += &format!("&first.{key}={first}&last.{key}={last}&step.{key}={}", 1 + random.below(3));
        }
    }
    query
}

#[test]
fn the_form_announces_the_exact_size_of_the_answer() {
    let mut random = Random(7);
    let (mut compared, mut partial, mut refused) = (0, 0, 0);
    for name in in_memory().chain(files().iter().cloned()) {
        let path = format!("/opendap/{}", name.split('/').map(encoded).collect::<Vec<_>>().join("/"));
        let page = json(&format!("{path}.json"));
        let mut names = Vec::new();
        variables(&page["structure"], &mut names);
        for round in 0..4 {
            let query = if round == 0 { "part=request".to_owned() } else { some(&page, &names, &mut random) };
            let outcome = json(&format!("{path}.json?{query}"));
            assert!(outcome["problems"].as_array().unwrap().is_empty(), "{name} {query}: {outcome}");
            for protocol in ["dap4", "dap2"] {
                let answer = &outcome[protocol];
                let Some(url) = answer["url"].as_str() else {
                    assert!(answer["problem"].is_string(), "{name} {query}: {answer}");
                    assert!(protocol == "dap2" || names.is_empty(), "{name} {query}: {answer}");
                    continue;
                };
                let data = get(target(url));
                // What is in files that are not opened, or coded in an unknown way, is refused when it is read.
                if [403, 501].contains(&data.status) {
                    refused += 1;
                    continue;
                }
                assert_eq!(data.status, 200, "{url}: {}", String::from_utf8_lossy(&data.body));
                assert!(data.is_whole, "{url}");
                if let Some(bytes) = answer["bytes"].as_u64() {
                    assert_eq!(bytes, data.body.len() as u64, "{url}");
                    compared += 1;
                    partial += usize::from(url.contains("%5B"));
                }
            }
        }
    }
    assert!(compared > 300 && partial > 80 && refused < 40, "{compared} {partial} {refused}");
}

/// The same elements are asked for: the values that DAP2 and DAP4 answer with are those of the part.
#[test]
fn the_form_asks_for_the_part_that_it_shows() {
    // lat is -10.5, 10.5; lon is 0, 90, 180, 270.
    for (query, lat, lon) in [
        ("", "-10.5, 10.5", "0.0, 90.0, 180.0, 270.0"),
        ("first./lat=1&last./lon=2&step./lon=2", "10.5", "0.0, 180.0"),
        ("from./lat=-20&to./lat=0&from./lon=90&to./lon=200", "-10.5", "90.0, 180.0"),
        ("to./lat=-20&from./lat=0&from./lon=91", "-10.5", "180.0, 270.0"),
        ("from./lon=10&step./lon=2", "-10.5, 10.5", "90.0, 270.0"),
    ] {
        let outcome = json(&format!("/opendap/grids.nc.json?part=request&v=/lat&v=/lon&v=/sst&{query}"));
        let url = outcome["dap2"]["url"].as_str().unwrap();
        let values = good(&target(url).replace(".dods", ".ascii"));
        for line in [format!("lat, {lat}"), format!("lon, {lon}")] {
            assert!(values.text().contains(&format!("{line}\n")), "{line} in {} for {query}", values.text());
        }
        let dmr = good(&target(outcome["dap4"]["url"].as_str().unwrap()).replace(".dap", ".dmr"));
        for (name, values) in [("lat", lat), ("lon", lon)] {
            let (_, declared) = dmr.text().split_once(&format!(" name=\"{name}\">")).unwrap();
            let dimension = declared.split("/>").next().unwrap();
            let is_whole = !query.contains(&format!("./{name}="));
            let size = values.split(", ").count();
            let expect = if is_whole { format!("name=\"/{name}\"") } else { format!("size=\"{size}\"") };
            assert!(dimension.contains(&expect), "{expect} in {dimension}");
        }
    }
}

#[test]
fn what_makes_no_sense_is_said_at_its_field() {
    for (query, field, message) in [
        ("first./lat=99999", "first./lat", "is outside"),
        ("last./lat=x", "last./lat", "a whole number"),
        ("step./lat=0", "step./lat", "1 or more"),
        ("first./lon=3&last./lon=1", "first./lon", "behind the last"),
        ("first./lat=1&from./lat=2", "from./lat", "not both"),
        ("v=/nosuch", "v", "there is no variable /nosuch"),
        ("from./lat=north", "from./lat", "not a number"),
        ("from./lat=20&to./lat=30", "from./lat", "no value lies between; the axis goes from -10.5 to 10.5"),
        ("to./time=yesterday", "to./time", "is not a date"),
    ] {
        let outcome = json(&format!("/opendap/grids.nc.json?part=request&{query}"));
        let problem = &outcome["problems"][0];
        assert_eq!(problem["field"], field, "{outcome}");
        assert!(problem["message"].as_str().unwrap().contains(message), "{problem}");
        assert!(outcome["dap4"]["url"].is_null() && outcome["dap2"]["url"].is_null(), "{query}");
        let page = good(&format!("/opendap/grids.nc.html?{query}"));
        assert!(page.text().contains("class=\"problem\""), "{query}");
        assert_eq!(page.text().contains("aria-invalid"), field != "v", "{query}");
    }
}

#[test]
fn pages_have_two_forms_under_one_address() {
    for (target, other) in
        [("/catalog/", "/catalog/catalog.json"), ("/opendap/V1_7.nc.html", "/opendap/V1_7.nc.json")]
    {
        let page = good(target);
        assert!(page.header("content-type").starts_with("text/html"), "{target}");
        let twin = ask("GET", target, "Accept: application/json\r\n");
        assert_eq!(twin.header("content-type"), "application/json", "{target}");
        assert!(twin.body == good(other).body, "{target}");
        assert_ne!(page.header("etag"), twin.header("etag"), "{target}");
        for answer in [&page, &twin] {
            assert!(answer.all("vary").contains("Accept"), "{target}");
            let again = ask(
                "GET",
                target,
                &format!(
                    "If-None-Match: {}\r\nAccept: {}\r\n",
                    answer.header("etag"),
                    if std::ptr::eq(answer, &raw const twin) { "application/json" } else { "text/html" },
                ),
            );
            assert_eq!(again.status, 304, "{target}");
        }
        let blocked = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";
        assert_eq!(page.header("content-security-policy"), blocked, "{target}");
    }
}

/// Every page of every dataset is small, and what it says of the dataset for search engines is JSON.
#[test]
fn pages_are_small_and_describe_the_dataset() {
    for name in in_memory().chain(files().iter().cloned()) {
        let page = good(&format!("/opendap/{name}.html"));
        assert!(page.body.len() < 150_000, "{name}: {} bytes", page.body.len());
        let (_, rest) = page.text().split_once("<script type=\"application/ld+json\">").unwrap();
        let block: Value = serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap();
        assert_eq!(block["@type"], "Dataset", "{name}");
        assert_eq!(block["url"], format!("http://h/opendap/{name}.html"));
        assert!(!block["description"].as_str().unwrap().is_empty() && block["distribution"][0].is_object());
    }
}

#[test]
fn crawlers_find_every_page() {
    let map = good("/sitemap.xml");
    let addresses = crate::xml::parse(map.text());
    assert_eq!(addresses.tag, "urlset");
    for name in files() {
        assert!(map.text().contains(&format!("<loc>http://h/opendap/{name}.html</loc>")), "{name}");
    }
    assert!(good("/robots.txt").text().contains("\nSitemap: http://h/sitemap.xml\n"));
    assert_eq!(get("/sitemap.xml?page=2").status, 404);
}
