//! A content folder as a site may have it: what is read of it, served, and said not to be.

use std::{fs, path::Path, sync::Arc, time::Duration};

use cdm::ErrorKind;
use handlers::{
    chunked::{Engine, EngineOptions},
    ncml::document::{ForecastView, Join},
};

use super::*;
use crate::catalog::{Catalog, Latest};

const HEAD: &str = "<?xml version='1.0' encoding='UTF-8'?>\n<catalog name='Site' version='1.0.1' \
    xmlns='http://www.unidata.ucar.edu/namespaces/thredds/InvCatalog/v1.0' xmlns:x='http://www.w3.org/1999/xlink'>\n";

/// Writes the catalog `path` below `folder`, its content beginning at line 3.
fn write(folder: &Path, path: &str, content: &str) {
    let file = folder.join(path);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, format!("{HEAD}{content}\n</catalog>\n")).unwrap();
}

fn site() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    for file in
        ["obs/a.nc", "obs/secret.nc", "obs/odd", "scan/run_20260102.nc", "scan/run_20260101.nc", "scan/x.txt"]
    {
        fs::create_dir_all(data.join(file).parent().unwrap()).unwrap();
        fs::write(data.join(file), b"data").unwrap();
    }
    for file in ["scan/deep/run_20260103.nc", "scan/bad/run_20260104.nc", "closed/run.nc"] {
        fs::create_dir_all(data.join(file).parent().unwrap()).unwrap();
        fs::write(data.join(file), b"data").unwrap();
    }
    fs::create_dir_all(dir.path().join("content/thredds/public/testdata")).unwrap();
    fs::write(dir.path().join("content/thredds/public/testdata/t.nc"), b"data").unwrap();
    dir
}

async fn read_site(dir: &Path) -> Content {
    read(&dir.join("content"), &Symlinks::default()).await.unwrap()
}

fn served(mut content: Content) -> (Catalog, Vec<Problem>) {
    let registry = Registry::new(Arc::new(Engine::new(EngineOptions::default())));
    let places = content.places(&registry, &RemoteOptions::default(), &Symlinks::default());
    let problems = content.problems.clone();
    (Catalog::of(places, 16, registry).with_content(content), problems)
}

fn name(name: &str) -> DatasetName {
    DatasetName::new(name).unwrap()
}

/// Every element of a kind in these and below.
fn all<'a>(nodes: &'a [Node], kind: &str, found: &mut Vec<&'a Node>) {
    for node in nodes {
        if node.name == kind {
            found.push(node);
        }
        all(&node.children, kind, found);
    }
}

fn elements<'a>(content: &'a Content, document: &str, kind: &str) -> Vec<&'a Node> {
    let mut found = Vec::new();
    all(&content.documents[document].content, kind, &mut found);
    found
}

/// A site with catalogs of every kind of element.
fn whole_site() -> tempfile::TempDir {
    let dir = site();
    let (content, data) = (dir.path().join("content/thredds"), dir.path().join("data"));
    let data = data.display();
    write(
        &content,
        "catalog.xml",
        &format!(
            "<service name='every' serviceType='Compound' base=''>
          <service name='odap' serviceType='OPENDAP' base='/thredds/dodsC/'/>
          <service name='files' serviceType='HTTPServer' base='/thredds/fileServer/'/>
          <service name='wms' serviceType='WMS' base='/thredds/wms/'/>
        </service>
        <service name='there' serviceType='OPENDAP' base='https://other.example.org/dodsC/'/>
        <datasetRoot path='obs' location='{data}/obs'/>
        <dataset name='Observations' ID='Obs'>
          <metadata inherited='true'><serviceName>every</serviceName><keyword>sea</keyword></metadata>
          <documentation>Kept <b>as</b> it is</documentation>
          <dataset name='One' ID='one' urlPath='obs/a.nc' serviceName='odap'/>
          <dataset name='Odd name' ID='odd' urlPath='obs/odd'/>
          <dataset name='Secret' urlPath='obs/secret.nc' restrictAccess='role'/>
          <dataset name='Elsewhere' urlPath='far/b.nc' serviceName='there'/>
          <dataset name='Maps' urlPath='obs/a.nc' serviceName='wms'/>
        </dataset>
        <catalogRef x:href='sub/more.xml' x:title='More' name=''/>
        <catalogRef x:href='https://other.example.org/catalog.xml' x:title='Other site' name=''/>
        <catalogRef x:href='../../etc.xml' x:title='Out' name=''/>"
        ),
    );
    write(&content, "sub/more.xml", &format!(
        "<datasetScan name='Runs' ID='RUNS' path='model/runs' location='{data}/scan'>
          <metadata inherited='true'><serviceName>every</serviceName></metadata>
          <filter><include wildcard='*.nc'/><exclude wildcard='bad' atomic='false' collection='true'/></filter>
          <namer><regExpOnName regExp='run_([0-9]{{4}})([0-9]{{2}})([0-9]{{2}})' replaceString='Run of $1-$2-$3'/></namer>
          <addLatest><simpleLatest name='newest.xml' serviceName='latest'/></addLatest>
          <addTimeCoverage datasetNameMatchPattern='run_([0-9]{{4}})([0-9]{{2}})([0-9]{{2}})'
             startTimeSubstitutionPattern='$1-$2-$3T00:00:00' duration='60 hours'/>
        </datasetScan>
        <datasetScan name='Closed' path='closed' location='{data}/closed' restrictAccess='role'/>
        <datasetScan name='Test data' path='test' location='content/testdata/'>
          <sort><lexigraphicByName increasing='true'/></sort></datasetScan>
        <datasetScan name='Gone' path='gone' location='{data}/gone'/>"
    ));
    dir
}

#[tokio::test]
async fn catalogs_are_shown_as_they_are() {
    let dir = whole_site();
    let content = read_site(dir.path()).await;
    // The hierarchy is that of the site.
    assert_eq!(content.documents.keys().collect::<Vec<_>>(), ["catalog.xml", "sub/more.xml"]);
    let services: Vec<_> = elements(&content, "catalog.xml", "service")
        .iter()
        .map(|s| {
            format!(
                "{} {} {}",
                s.attribute("name").unwrap(),
                s.attribute("serviceType").unwrap(),
                s.attribute("base").unwrap()
            )
        })
        .collect();
    assert_eq!(
        services,
        [
            "every Compound ",
            "odap OpenDAP /thredds/dodsC/",
            "files HTTPServer /thredds/fileServer/",
            "there OPENDAP https://other.example.org/dodsC/",
        ]
    );
    let shown: Vec<_> = elements(&content, "catalog.xml", "dataset")
        .iter()
        .map(|d| (d.attribute("name").unwrap(), d.attribute("urlPath").unwrap_or("-")))
        .collect();
    assert_eq!(
        shown,
        [
            ("Observations", "-"),
            ("One", "obs/a.nc"),
            ("Odd name", "obs/odd"),
            ("Elsewhere", "far/b.nc"),
            ("Maps", "-"),
        ]
    );
    let texts: Vec<_> =
        elements(&content, "catalog.xml", "documentation").iter().map(|d| d.text.as_str()).collect();
    assert_eq!(texts, ["Kept it is as"]);
    let hrefs: Vec<_> = ["catalog.xml", "sub/more.xml"]
        .iter()
        .flat_map(|d| elements(&content, d, "catalogRef"))
        .map(|r| r.attribute("xlink:href").unwrap())
        .collect();
    assert_eq!(
        hrefs,
        [
            "/thredds/catalog/sub/more.xml",
            "https://other.example.org/catalog.xml",
            "/thredds/catalog/model/runs/catalog.xml",
            "/thredds/catalog/test/catalog.xml",
            "/thredds/catalog/gone/catalog.xml",
        ]
    );
}

#[tokio::test]
async fn a_site_is_served_as_its_catalogs_say() {
    let dir = whole_site();
    let content = read_site(dir.path()).await;
    let (catalog, problems) = served(content);
    // What is not served is told with file and line.
    let told: Vec<_> =
        problems.iter().map(|p| format!("{} {}", p.place, p.what.split(" (").next().unwrap())).collect();
    let lines = |what: &str| {
        told.iter()
            .find(|t| t.contains(what))
            .unwrap_or_else(|| panic!("{what}: {told:#?}"))
            .split(' ')
            .next()
            .unwrap()
            .to_owned()
    };
    assert_eq!(lines("of type WMS"), "catalog.xml:6");
    assert_eq!(lines("Secret has restrictAccess"), "catalog.xml:15");
    assert_eq!(lines("no service but wms"), "catalog.xml:17");
    assert_eq!(lines("../../etc.xml"), "catalog.xml:21");
    assert_eq!(lines("Closed has restrictAccess"), "sub/more.xml:11");
    assert_eq!(lines("gone: cannot serve"), "sub/more.xml:14");
    assert_eq!(problems.len(), 6, "{told:#?}");

    // Datasets by their paths.
    for there in
        ["obs/a.nc", "obs/odd", "model/runs/run_20260101.nc", "model/runs/deep/run_20260103.nc", "test/t.nc"]
    {
        assert!(catalog.stat(&name(there)).await.is_ok(), "{there}");
        assert!(catalog.object(&name(there)).await.is_ok(), "{there}");
    }
    for missing in
        ["obs/secret.nc", "closed/run.nc", "model/runs/x.txt", "model/runs/bad/run_20260104.nc", "far/b.nc"]
    {
        assert_eq!(catalog.stat(&name(missing)).await.unwrap_err().kind(), ErrorKind::NotFound, "{missing}");
        assert!(catalog.object(&name(missing)).await.is_err(), "{missing}");
    }
    // Roots are not listed, scans are, and what is filtered is not.
    assert!(catalog.list(&name("obs")).await.is_err() && catalog.list(&name("closed")).await.is_err());
    let listing = catalog.list(&name("model/runs")).await.unwrap();
    assert_eq!(listing.folders, ["deep".into()]);
    assert_eq!(
        listing.datasets.iter().map(|e| &*e.name).collect::<Vec<_>>(),
        ["run_20260101.nc", "run_20260102.nc"]
    );
    assert!(catalog.list(&name("model/runs/bad")).await.is_err());
    let (folder, top) = (name("model/runs/deep"), DatasetName::top());
    let (scan, path) = catalog.scan_of(&folder).unwrap();
    assert_eq!((path, scan.id.as_str(), scan.is_decreasing), ("deep", "RUNS", true));
    assert_eq!(scan.shown_name("run_20260101.nc"), "Run of 2026-01-01");
    assert_eq!(scan.time_of("run_20260101.nc").unwrap().children[0].text, "2026-01-01T00:00:00");
    assert_eq!(scan.newest[0].name, "newest.xml");
    assert_eq!(listing.latest(Latest::Name, Duration::ZERO).unwrap().name, "run_20260102.nc".into());
    // A service of the first catalog is that of the others too.
    assert_eq!(scan.services[0].attribute("name"), Some("every"));
    assert_eq!(scan.inherited[0].text, "every");
    assert!(!catalog.scan_of(&name("test")).unwrap().0.is_decreasing);
    assert!(!catalog.list(&top).await.unwrap().folders.contains(&"obs".into()));
}

#[tokio::test]
async fn a_broken_catalog_keeps_the_others() {
    let dir = site();
    let content = dir.path().join("content/thredds");
    write(
        &content,
        "catalog.xml",
        "<catalogRef x:href='broken.xml' x:title='B' name=''/>
         <catalogRef x:href='none.xml' x:title='N' name=''/>
         <catalogRef x:href='doctype.xml' x:title='D' name=''/>
         <catalogRef x:href='catalog.xml' x:title='Itself' name=''/>
         <catalogRef x:href='good.xml' x:title='G' name=''/>",
    );
    fs::write(content.join("broken.xml"), "<catalog>\n<dataset name='x'>\n</catalog>").unwrap();
    fs::write(content.join("doctype.xml"), "<!DOCTYPE c [<!ENTITY a 'b'>]>\n<catalog>&a;</catalog>").unwrap();
    write(&content, "good.xml", "<dataset name='fine'/>");
    write(&content, "extra.xml", "<dataset name='extra'/>");
    fs::write(
        content.join("threddsConfig.xml"),
        "<threddsConfig>\n<catalogRoot>extra.xml</catalogRoot>\n<catalogRoot>gone.xml</catalogRoot>\n</threddsConfig>",
    )
    .unwrap();
    let found = read_site(dir.path()).await;
    assert_eq!(found.documents.keys().collect::<Vec<_>>(), ["catalog.xml", "extra.xml", "good.xml"]);
    let mut places: Vec<_> = found.problems.iter().map(|p| p.place.as_str()).collect();
    places.sort_unstable();
    assert_eq!(places, ["broken.xml:3", "catalog.xml:4", "doctype.xml:1", "threddsConfig.xml:3"]);
    let missing = read(&dir.path().join("data"), &Symlinks::default()).await.unwrap_err();
    assert!(missing.message().contains("catalog.xml"), "{missing}");
}

#[tokio::test]
async fn ncml_inside_a_scan_changes_each_of_its_datasets() {
    let dir = site();
    let (content, data) = (dir.path().join("content/thredds"), dir.path().join("data/real"));
    fs::create_dir_all(&data).unwrap();
    let real = Path::new(env!("CARGO_MANIFEST_DIR")).join("handlers/hdf5/testdata/coordinates.nc");
    fs::copy(real, data.join("c.nc")).unwrap();
    let catalog = |title: &str| {
        write(
            &content,
            "catalog.xml",
            &format!(
                "<datasetScan name='Real' path='real' location='{}'>
               <netcdf xmlns='http://www.unidata.ucar.edu/namespaces/netcdf/ncml-2.2'>
                 <attribute name='title' value='{title}'/>
               </netcdf>
             </datasetScan>",
                data.display()
            ),
        );
    };
    let mut versions = Vec::new();
    for title in ["one", "two"] {
        catalog(title);
        let (catalog, problems) = served(read_site(dir.path()).await);
        assert!(problems.is_empty(), "{problems:#?}");
        let source = catalog.open(&name("real/c.nc")).await.unwrap();
        assert_eq!(source.dataset().root().attributes.text("title").as_deref(), Some(title));
        assert!(source.dataset().variables().count() > 0);
        versions.push(source.version().unwrap().identity.clone());
    }
    assert_ne!(versions[0], versions[1]);
}

#[tokio::test]
async fn definitions_and_collections_become_datasets() {
    let dir = site();
    let (content, data) = (dir.path().join("content/thredds"), dir.path().join("data"));
    let data = data.display();
    write(&content, "catalog.xml", &format!(
        "<dataset name='Joined' ID='j' urlPath='joined.nc'>
           <netcdf xmlns='http://www.unidata.ucar.edu/namespaces/netcdf/ncml-2.2'>
             <aggregation dimName='time' type='joinExisting'><scan location='{data}/scan' suffix='.nc'/></aggregation>
           </netcdf>
         </dataset>
         <dataset name='Wrong' urlPath='wrong.nc'>
           <netcdf xmlns='http://www.unidata.ucar.edu/namespaces/netcdf/ncml-2.2'><nonsense/></netcdf>
         </dataset>
         <featureCollection name='Wave Model' featureType='FMRC' path='waves' harvest='true'>
           <collection spec='{data}/scan/run_#yyyyMMdd#\\.nc$'/>
           <fmrcConfig datasetTypes='Best'/>
         </featureCollection>
         <featureCollection name='Grib' featureType='GRIB2' path='grib'><collection spec='/x/.*grib2$'/></featureCollection>"
    ));
    let found = read_site(dir.path()).await;
    let names: Vec<_> = found.defined.iter().map(|d| d.name.as_str()).collect();
    assert_eq!(names, ["joined.nc", "waves/Wave_Model_best.ncd"]);
    let aggregation = found.defined[1].definition.aggregation.as_ref().unwrap();
    assert_eq!(aggregation.join, Join::Forecast(ForecastView::Best));
    assert_eq!(aggregation.scans[0].date_format_mark.as_deref(), Some("run_#yyyyMMdd"));
    assert_eq!(aggregation.scans[0].pattern.as_deref(), Some("run_.{8}\\.nc"));
    assert!(found.documents.contains_key("waves/catalog.xml"));
    let mut places: Vec<_> = found.problems.iter().map(|p| p.place.as_str()).collect();
    places.sort_unstable();
    assert_eq!(places, ["catalog.xml:15", "catalog.xml:8"], "{:#?}", found.problems);
}
