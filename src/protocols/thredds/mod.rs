//! THREDDS catalogs: InvCatalog 1.0 XML and HTML.
