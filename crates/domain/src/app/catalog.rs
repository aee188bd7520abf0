/// A category of apps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Catalog {
    /// Id on the wire.
    pub id: &'static str,
    /// Chinese name.
    pub name_zh: &'static str,
    /// English name.
    pub name_en: &'static str,
}

/// Every category, in the contract's order (contract, section 3).
pub const CATALOGS: &[Catalog] = &[
    catalog("1", "其他", "Other"),
    catalog("2", "办公", "Office"),
    catalog("3", "浏览器", "Browser"),
    catalog("4", "通讯", "Communication"),
    catalog("5", "开发", "Development"),
    catalog("6", "图形图像", "Graphics"),
    catalog("7", "多媒体", "Multimedia"),
    catalog("8", "安全", "Security"),
    catalog("9", "系统工具", "System tools"),
];

const fn catalog(id: &'static str, name_zh: &'static str, name_en: &'static str) -> Catalog {
    Catalog {
        id,
        name_zh,
        name_en,
    }
}

impl Catalog {
    /// Finds a category by its id.
    pub fn find(id: &str) -> Option<&'static Self> {
        CATALOGS.iter().find(|catalog| catalog.id == id)
    }
}
