//! Documents in a folder: where they may lead, and what comes of it.

use std::{fs, sync::Arc};

use cdm::{
    ErrorKind, FullName, Selection, Source,
    testing::{collect, source_contract},
};

use crate::{
    Registry,
    chunked::{Engine, EngineOptions},
    storage::{LocalRoot, Place},
};

const DATA: &str = "<netcdf><dimension name='x' length='3'/>\
    <variable name='x' type='int' shape='x'><values>1 2 3</values></variable></netcdf>";

struct Folder(tempfile::TempDir);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Self(folder)
    }

    async fn open(&self, path: &str) -> cdm::Result<Arc<dyn Source>> {
        let store = Arc::new(LocalRoot::open(self.0.path()).unwrap());
        let place = Place { store, path: path.into(), name: path.into() };
        let registry = Registry::new(Arc::new(Engine::new(EngineOptions::default())));
        registry.find(&place).await?.expect("the file is there").open(&place, &registry).await
    }

    async fn refused(&self, path: &str) -> (ErrorKind, String) {
        let error = self.open(path).await.unwrap_err();
        (error.kind(), error.message().to_owned())
    }
}

#[tokio::test]
async fn documents_lead_to_what_lies_beside_them() {
    let edit =
        |to: &str| format!("<netcdf location='{to}'><variable name='y' orgName='x' type='double'/></netcdf>");
    let folder = Folder::new(&[
        ("data.ncml", DATA),
        ("a/edit.ncml", &edit("../data.ncml")),
        (
            "a/twice.xml",
            "<?xml version='1.0'?>\n<netcdf location='edit.ncml'><attribute name='t' value='v'/></netcdf>",
        ),
    ]);
    let source = folder.open("a/twice.xml").await.unwrap();
    assert_eq!(source.dataset().name(), "a/twice.xml");
    let name = FullName::new("/y");
    let block = collect(source.read(&name, &Selection::all(&[3])), true).await.unwrap();
    assert_eq!(block, cdm::fixed_block!([1.0_f64, 2.0, 3.0]));
    source_contract(&source, 1, 10).await;
    let before = source.version().unwrap().clone();
    fs::write(folder.0.path().join("data.ncml"), DATA.replace("1 2 3", "4 5 6")).unwrap();
    assert_ne!(folder.open("a/twice.xml").await.unwrap().version().unwrap().identity, before.identity);
}

#[tokio::test]
async fn they_lead_nowhere_else() {
    let to = |location: &str| format!("<netcdf location='{location}'/>");
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret.ncml"), DATA).unwrap();
    let absolute = outside.path().join("secret.ncml");
    let absolute = absolute.to_str().unwrap();
    let mut files = vec![
        ("up.ncml".to_owned(), to("../../etc/passwd")),
        ("absolute.ncml".to_owned(), to(absolute)),
        ("file.ncml".to_owned(), to(&format!("file://{absolute}"))),
        ("url.ncml".to_owned(), to("http://169.254.169.254/latest")),
        ("hidden.ncml".to_owned(), to(".git/config")),
        ("missing.ncml".to_owned(), to("nothing.nc")),
        ("self.ncml".to_owned(), to("self.ncml")),
        ("ping.ncml".to_owned(), to("pong.ncml")),
        ("pong.ncml".to_owned(), to("ping.ncml")),
        ("chain0.ncml".to_owned(), DATA.to_owned()),
    ];
    files.extend((1..12).map(|i| (format!("chain{i}.ncml"), to(&format!("chain{}.ncml", i - 1)))));
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let folder = Folder::new(&files);
    for name in ["up", "absolute", "file", "url", "hidden", "self", "ping", "chain9"] {
        let (kind, message) = folder.refused(&format!("{name}.ncml")).await;
        assert_eq!(kind, ErrorKind::Forbidden, "{name}: {message}");
        assert!(!message.contains(outside.path().to_str().unwrap()), "{message}");
    }
    assert!(folder.open("chain7.ncml").await.is_ok());
    let missing = folder.refused("missing.ncml").await;
    assert_eq!(
        missing,
        (ErrorKind::Corrupt, "missing.ncml:1: it leads to nothing.nc, which is not there".into())
    );
}
